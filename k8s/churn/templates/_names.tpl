{{- define "churn.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "churn.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "churn.labels" -}}
{{ include "churn.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "churn.image" -}}
{{- $image := .root.Values.image -}}
{{- $repository := index $image.repositories .image -}}
{{- $tag := default .root.Chart.AppVersion $image.tag -}}
{{- if $image.registry -}}
{{- printf "%s/%s:%s" (trimSuffix "/" $image.registry) $repository $tag -}}
{{- else -}}
{{- printf "%s:%s" $repository $tag -}}
{{- end -}}
{{- end -}}

{{- define "churn.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "churn.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "churn.secretName" -}}
{{- default (include "churn.fullname" .) .Values.existingSecret -}}
{{- end -}}

{{- define "churn.dataClaim" -}}
{{- default (printf "%s-data" (include "churn.fullname" .)) .Values.persistence.data.existingClaim -}}
{{- end -}}

{{- define "churn.modelsClaim" -}}
{{- default (printf "%s-models" (include "churn.fullname" .)) .Values.persistence.models.existingClaim -}}
{{- end -}}
