{{/* What things are called. */}}

{{- define "fedwright.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "fedwright.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "fedwright.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "fedwright.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "fedwright.gateway" -}}
{{ include "fedwright.fullname" . }}-gateway
{{- end }}

{{- define "fedwright.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "fedwright.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "fedwright.allowancesSecret" -}}
{{- default (printf "%s-allowances" (include "fedwright.fullname" .)) .Values.models.allowancesSecret }}
{{- end }}

{{/* Takes (list root component). */}}
{{- define "fedwright.selector" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ include "fedwright.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{/* Metadata of everything but pods: takes (list root component), then a name if it is not the full name, then more labels. */}}
{{- define "fedwright.metadata" -}}
{{- $root := first . -}}
{{- $name := "" }}{{- $more := dict }}
{{- if gt (len .) 2 }}{{ $name = index . 2 }}{{ end }}
{{- if gt (len .) 3 }}{{ $more = index . 3 }}{{ end -}}
name: {{ default (include "fedwright.fullname" $root) $name }}
labels:
  {{- include "fedwright.labels" (list $root (index . 1) $more) | nindent 2 }}
{{- with $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Takes (list root component more). What people add never hides the chart's own. */}}
{{- define "fedwright.labels" -}}
{{- $root := first . -}}
{{- $own := include "fedwright.selector" (list $root (index . 1)) | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "fedwright" -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") -}}
{{ merge $own (index . 2) $root.Values.commonLabels | toYaml }}
{{- end }}
