{{/*
The parts that every pod shares. Each takes {root, component, image, args, data, models}:
`data` and `models` say whether the pod mounts the claim; without `data` /app/data is an empty folder of its own.
*/}}

{{- define "churn.podMetadata" -}}
labels:
  {{- include "churn.labels" . | nindent 2 }}
  {{- if or .data .models }}
  churn/volumes: {{ include "churn.fullname" .root }}
  {{- end }}
annotations:
  # A changed setting or password starts new pods.
  checksum/config: {{ include (print .root.Template.BasePath "/configmap.yaml") .root | sha256sum }}
  checksum/secret: {{ include (print .root.Template.BasePath "/secret.yaml") .root | sha256sum }}
  {{- if .port }}
  prometheus.io/scrape: "true"
  prometheus.io/path: /metrics
  prometheus.io/port: {{ .port | quote }}
  {{- end }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "churn.podPlacement" -}}
serviceAccountName: {{ include "churn.serviceAccountName" .root }}
automountServiceAccountToken: false
# Service links would set CHURN_API_PORT=tcp://... in every pod as soon as a Service is called churn-api.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- $persistence := .root.Values.persistence }}
{{- $oneNode := or (and .data (ne $persistence.data.accessMode "ReadWriteMany")) (and .models (ne $persistence.models.accessMode "ReadWriteMany")) }}
{{- if $oneNode }}
affinity:
  # A ReadWriteOnce claim is attached to one node: whoever mounts one goes where the others are.
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            churn/volumes: {{ include "churn.fullname" .root }}
{{- else if .spread }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "churn.selector" . | nindent 8 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  - name: data
    {{- if .data }}
    persistentVolumeClaim: {claimName: {{ include "churn.dataClaim" .root }}}
    {{- else }}
    emptyDir: {}
    {{- end }}
  {{- if .models }}
  - name: models
    persistentVolumeClaim: {claimName: {{ include "churn.modelsClaim" .root }}}
  {{- end }}
  {{- with .root.Values.declaration.configMap }}
  - name: declaration
    configMap: {name: {{ . }}}
  {{- end }}
{{- end -}}

{{- define "churn.container" -}}
image: {{ include "churn.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .args }}
env:
  - name: HOME
    value: /tmp
envFrom:
  - configMapRef: {name: {{ include "churn.fullname" .root }}}
  - secretRef: {name: {{ include "churn.secretName" .root }}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources:
  {{- toYaml .resources | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  - name: data
    mountPath: /app/data
  {{- if .models }}
  - name: models
    mountPath: /app/data/models
  {{- end }}
  {{- if .root.Values.declaration.configMap }}
  - name: declaration
    mountPath: /etc/churn
    readOnly: true
  {{- end }}
{{- end -}}

{{- define "churn.probes" -}}
startupProbe:
  httpGet: {path: /live, port: {{ . }}}
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: 90
livenessProbe:
  httpGet: {path: /live, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /ready, port: {{ . }}}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 3
{{- end -}}
