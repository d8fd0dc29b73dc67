{{/* Where everything is installed. */}}
{{- define "caisson.namespace" -}}
{{- default .Release.Namespace .Values.namespace.name }}
{{- end }}

{{/* By which every Pod of the release is found, of all shards. */}}
{{- define "caisson.selectorLabels" -}}
app.kubernetes.io/name: agent-sandbox
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "caisson.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{ include "caisson.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | quote }}
app: agent-sandbox-controller
{{- end }}

{{/* The first shard has the names of agent-sandbox's controller. */}}
{{- define "caisson.shardName" -}}
agent-sandbox-controller{{ if . }}-{{ . }}{{ end }}
{{- end }}

{{/* The Leases that the processes may take: as many as there are shards. */}}
{{- define "caisson.leases" -}}
{{- range until (.Values.controller.shards | int) }}
- a3317529.agent-sandbox.x-k8s.io{{ if . }}-{{ . }}{{ end }}
{{- end }}
{{- end }}

{{- define "caisson.priorityClassName" -}}
{{- if .Values.priorityClass.name }}{{ .Values.priorityClass.name }}
{{- else if .Values.priorityClass.create }}agent-sandbox-controller
{{- end }}
{{- end }}

{{/* A part that leads a Service, a rule or a probe to the metrics. */}}
{{- define "caisson.metricsPort" -}}
{{- if .Values.metrics.tls.enabled }}8443{{ else }}8080{{ end }}
{{- end }}
