{{/* The operator's configuration: all that it knows of the chart. */}}

{{- define "fedwright.configuration" -}}
namespaces: {{ toJson .Values.watchNamespaces }}
log: {level: {{ .Values.log.level }}, format: {{ .Values.log.format }}}
lease: {{ include "fedwright.fullname" . }}
threads: {{ .Values.threads }}
ports: {health: 8080, metrics: 9090}
boxes:
  images:
    Mind: {{ include "fedwright.boxImage" (list . "mind") }}
    Bench: {{ include "fedwright.boxImage" (list . "bench") }}
    Judge: {{ include "fedwright.boxImage" (list . "judge") }}
    Platform: {{ include "fedwright.boxImage" (list . "flower") }}
  referBy: {{ .Values.images.referBy }}
  pullPolicy: {{ .Values.pullPolicy }}
  imagePullSecrets: {{ toJson .Values.imagePullSecrets }}
  runtimeClassName: {{ .Values.runtimeClassName | quote }}
  {{- toYaml (omit .Values.boxes "dnsCidrs") | nindent 2 }}
  networks:
    dns:
      {{- toYaml .Values.networkPolicies.dns | nindent 6 }}
    dnsCidrs: {{ toJson .Values.boxes.dnsCidrs }}
    {{- if .Values.models.enabled }}
    gateway:
      namespaceLabels: {kubernetes.io/metadata.name: {{ .Release.Namespace }}}
      podLabels:
        {{- include "fedwright.selector" (list . "gateway") | nindent 8 }}
      port: 8000
    {{- end }}
artifacts:
  url: {{ .Values.artifacts.url | quote }}
  options: {{ toJson .Values.artifacts.options }}
{{- if .Values.models.enabled }}
models:
  url: http://{{ include "fedwright.gateway" . }}.{{ .Release.Namespace }}.svc:8000
  profiles: /etc/fedwright/models/profiles.yaml
  secret: /etc/fedwright/allowances/secret
{{- end }}
federations:
  {{- toYaml .Values.federations | nindent 2 }}
{{- end }}

{{/* An image of boxes: takes (list root name). */}}
{{- define "fedwright.boxImage" -}}
{{- $image := get (first .).Values.images (last .) -}}
{{- $named := dict "repository" $image.repository "tag" (default (first .).Chart.AppVersion $image.tag) -}}
{{- if $image.digest }}{{ $_ := set $named "digest" $image.digest }}{{ end -}}
{{ toJson $named }}
{{- end }}
