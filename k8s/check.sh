#!/usr/bin/env bash
# Lint the chart, render it with its default values and with every feature on, and hold each manifest against strict
# schemas of Kubernetes itself. The tools are Go modules of fixed versions, built once into .local/ (about two minutes).
set -euo pipefail
cd "$(dirname "$0")/.."

HELM_VERSION=3.19.5
KUBECONFORM_VERSION=0.7.0
KUBE_VERSION=1.34.2
tools="$PWD/.local/tools"
schemas="$PWD/.local/kubernetes-schemas/v$KUBE_VERSION"
rendered="$PWD/.local/rendered"
helm="$tools/helm-$HELM_VERSION"
kubeconform="$tools/kubeconform-$KUBECONFORM_VERSION"

install_tool() { # PATH PACKAGE VERSION
  [[ -x "$1" ]] && return
  echo "building ${2##*/} $3 (once)" >&2
  local bin
  bin=$(mktemp -d)
  # An empty GOFLAGS and GOBIN alone: the build is the same whatever the caller's environment says.
  GOFLAGS='' GOBIN="$bin" CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "$2@v$3"
  mkdir -p "$(dirname "$1")"
  mv "$bin/${2##*/}" "$1"
  rmdir "$bin"
}

make_schemas() {
  [[ -f "$schemas/.complete" ]] && return
  echo "generating schemas of Kubernetes $KUBE_VERSION (once)" >&2
  local module
  module=$(go mod download -json "k8s.io/kubernetes@v$KUBE_VERSION" | "$python" -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
  "$python" k8s/strict_schemas.py "$module/api/openapi-spec/swagger.json" "$schemas"
  touch "$schemas/.complete"
}

check_values() { # NAME [VALUES]
  "$helm" lint --strict --quiet --kube-version "$KUBE_VERSION" k8s/churn ${2:+--values "$2"}
  "$helm" template churn k8s/churn --kube-version "$KUBE_VERSION" ${2:+--values "$2"} >"$rendered/$1.yaml"
  echo "$1 values:"
  "$kubeconform" -strict -summary -schema-location "$schemas/{{.ResourceKind}}{{.KindSuffix}}.json" "$rendered/$1.yaml"
}

# A value that the schema forbids must be refused, or the schema is not looked at.
check_refusal() { # REASON ARGUMENT...
  local reason=$1
  shift
  if "$helm" template churn k8s/churn --kube-version "$KUBE_VERSION" "$@" >/dev/null 2>&1; then
    echo "the chart accepts $reason ($*), which values.schema.json should refuse" >&2
    exit 1
  fi
}

# A misspelt field must be refused too, or the schemas are not strict.
check_strictness() {
  if sed 's/readOnlyRootFilesystem/readOnlyRootFileSystem/' "$rendered/default.yaml" |
    "$kubeconform" -strict -schema-location "$schemas/{{.ResourceKind}}{{.KindSuffix}}.json" >/dev/null; then
    echo "a misspelt field passes: the schemas in $schemas are not strict, delete that folder and run this again" >&2
    exit 1
  fi
}

python=$(command -v "$PWD/.venv/bin/python" || command -v python3) || {
  echo "k8s/check.sh needs Python 3.11 or newer: run 'make install' first." >&2
  exit 2
}
if ! command -v go >/dev/null && ! [[ -x "$helm" && -x "$kubeconform" && -f "$schemas/.complete" ]]; then
  echo "k8s/check.sh builds helm and kubeconform with Go 1.24 or newer, and no 'go' is on the path: install Go, then run it again." >&2
  exit 2
fi
install_tool "$helm" helm.sh/helm/v3/cmd/helm "$HELM_VERSION"
install_tool "$kubeconform" github.com/yannh/kubeconform/cmd/kubeconform "$KUBECONFORM_VERSION"
make_schemas
mkdir -p "$rendered"
check_values default
check_values every-feature k8s/ci-values.yaml
check_strictness
check_refusal "an unknown value" --set nosuchvalue=1
check_refusal "an unknown setting" --set-string settings.CHURN_NO_SUCH_SETTING=1
check_refusal "a moving image tag" --set image.tag=latest
check_refusal "SASL without a user" --set kafka.securityProtocol=SASL_SSL
check_refusal "a second learner" --set workers.learner.replicas=2
check_refusal "a second audit" --set workers.audit.replicas=2
check_refusal "a second keeper" --set workers.keeper.replicas=2
echo "the chart is sound"
