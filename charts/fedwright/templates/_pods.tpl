{{/* What the chart's own pods have in common. */}}

{{/* An image as pods name it: takes (list root name). */}}
{{- define "fedwright.image" -}}
{{- $root := first . -}}
{{- $image := get $root.Values.images (last .) -}}
{{- if and $image.digest (eq $root.Values.images.referBy "Digest") -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default $root.Chart.AppVersion $image.tag }}
{{- end }}
{{- end }}

{{/* Restricted Pod Security, of the pod and of each container. */}}
{{- define "fedwright.podSecurity" -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "fedwright.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Takes (list root labels): what people add to the labels of a pod never hides its own. */}}
{{- define "fedwright.podLabels" -}}
{{- $own := last . | fromYaml -}}
{{ toYaml (merge $own (first .).Values.podLabels (first .).Values.commonLabels) }}
{{- end }}
