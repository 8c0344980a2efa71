{{- define "federation.labels" -}}
app.kubernetes.io/name: federation
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "federation.meta" -}}
{{ include "federation.labels" . }}
app.kubernetes.io/part-of: fedwright
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* What every pod has: no token, no links, no rights. Call with (dict "root" $). */}}
{{- define "federation.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 15
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .root.Values.user }}
  runAsGroup: {{ .root.Values.user }}
  fsGroup: {{ .root.Values.user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* What every container has. Call with (dict "root" $), and "image" or "user" where they are others. */}}
{{- define "federation.container" -}}
image: {{ .image | default .root.Values.image | quote }}
imagePullPolicy: {{ .root.Values.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
  {{- with .user }}
  runAsUser: {{ . }}
  {{- end }}
{{- end -}}

{{- define "federation.environment" -}}
- {name: HOME, value: /flower}
- {name: FLWR_HOME, value: /flower/home}
- {name: FLWR_TELEMETRY_ENABLED, value: "0"}
- {name: FLWR_DISABLE_UPDATE_CHECK, value: "1"}
- {name: FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION, value: "1"}
- {name: PYTHONUNBUFFERED, value: "1"}
- {name: OMP_NUM_THREADS, value: "1"}
- {name: OPENBLAS_NUM_THREADS, value: "1"}
- {name: MKL_NUM_THREADS, value: "1"}
{{- end -}}

{{/* True while this process holds a connection to that port (hexadecimal). */}}
{{- define "federation.connected" -}}
exec: {command: [sh, -c, 'grep -q ":{{ . }} 01 " /proc/net/tcp /proc/net/tcp6']}
periodSeconds: 5
timeoutSeconds: 5
{{- end -}}

{{- define "federation.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .root.Values.storage.className }}
storageClassName: {{ . }}
{{- end }}
resources: {requests: {storage: {{ .size }}}}
{{- end -}}

{{- define "federation.dns" -}}
to:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ .Values.networkPolicies.dns.namespace }}}}
    podSelector: {matchLabels: {{ toJson .Values.networkPolicies.dns.podLabels }}}
ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- end -}}

{{- define "federation.external" -}}
{{- range .Values.groups }}{{ if eq .placement "External" }}yes{{ end }}{{ end }}
{{- end -}}

{{- define "federation.nodesWanted" -}}
{{- $sum := 0 }}{{ range .Values.groups }}{{ $sum = add $sum .nodes }}{{ end }}{{ $sum }}
{{- end -}}

{{/* The labels of pods that may submit runs. */}}
{{- define "federation.controllers" -}}
{{- with .Values.controllers.podLabels }}{{ toYaml . }}{{ else }}fedwright.dev/federation: {{ .Release.Name }}{{ end }}
{{- end -}}

{{/* Whose all of it is: what goes with the Federation needs nobody to take it down. */}}
{{- define "federation.owned" -}}
{{- with .Values.owner }}
ownerReferences: {{ toJson (list .) }}
{{- end }}
{{- end -}}
