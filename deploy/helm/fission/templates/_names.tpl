{{- /* Whether this is OpenShift. Without a cluster `auto` means no. */ -}}
{{- define "fission.isOpenShift" -}}
{{- if eq (toString .Values.openshift.enabled) "auto" -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" }}true{{ end -}}
{{- else if eq (toString .Values.openshift.enabled) "true" -}}true{{- end -}}
{{- end -}}

{{- define "fission.exposure" -}}
{{- if ne .Values.exposure.type "auto" -}}{{ .Values.exposure.type }}
{{- else if include "fission.isOpenShift" . -}}route
{{- else -}}none
{{- end -}}
{{- end -}}

{{- /* The admin of a project of OpenShift cannot grant what the stock role `admin` lacks. */ -}}
{{- define "fission.httpRoutes" -}}
{{- if eq (toString .Values.triggers.httpRoutes) "auto" -}}
{{- if not (include "fission.isOpenShift" .) }}true{{ end -}}
{{- else if eq (toString .Values.triggers.httpRoutes) "true" -}}true{{- end -}}
{{- end -}}

{{- define "fission.webhookTls" -}}
{{- if ne .Values.webhook.tls.mode "auto" -}}{{ .Values.webhook.tls.mode }}
{{- else if include "fission.isOpenShift" . -}}openshift-service-ca
{{- else -}}self
{{- end -}}
{{- end -}}

{{- define "fission.webhookSecret" -}}
{{ .Values.webhook.tls.existingSecret | default "fission-webhook-tls" }}
{{- end -}}

{{- define "fission.webhookNamespace" -}}
{{ .Values.webhook.serviceNamespace | default .Release.Namespace }}
{{- end -}}

{{- define "fission.internalSecret" -}}
{{ .Values.internalAuth.existingSecret | default "fission-internal-auth" }}
{{- end -}}

{{- define "fission.image" -}}
{{- with .Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- /* Lists of namespaces, as JSON: where objects of users are, and where pods of functions and builders are. */ -}}
{{- define "fission.resourceNamespaces" -}}
{{- concat (list .Values.defaultNamespace) .Values.additionalFissionNamespaces | uniq | toJson -}}
{{- end -}}
{{- define "fission.functionNamespaces" -}}
{{- if .Values.functionNamespace }}{{ list .Values.functionNamespace | toJson }}
{{- else }}{{ include "fission.resourceNamespaces" . }}{{ end -}}
{{- end -}}
{{- define "fission.builderNamespaces" -}}
{{- if .Values.builderNamespace }}{{ list .Values.builderNamespace | toJson }}
{{- else }}{{ include "fission.resourceNamespaces" . }}{{ end -}}
{{- end -}}
{{- define "fission.podNamespaces" -}}
{{- concat (include "fission.functionNamespaces" . | fromJsonArray) (include "fission.builderNamespaces" . | fromJsonArray) | uniq | toJson -}}
{{- end -}}

{{- define "fission.labels" -}}
app.kubernetes.io/name: fission
app.kubernetes.io/part-of: fission
app.kubernetes.io/managed-by: {{ .Values.managedBy | default .Release.Service }}
{{- end -}}

{{- /* The labels a pod of a component is found by: (list $ "router"). */ -}}
{{- define "fission.selector" -}}
app.kubernetes.io/name: fission
svc: {{ index . 1 }}
{{- end -}}

{{- /* Metadata of an object of the release's namespace: (list $ "name"), or of another: (list $ "name" "namespace"). */ -}}
{{- define "fission.metadata" -}}
name: {{ index . 1 }}
namespace: {{ if gt (len .) 2 }}{{ index . 2 }}{{ else }}{{ (index . 0).Release.Namespace }}{{ end }}
labels:
  {{- include "fission.labels" (index . 0) | nindent 2 }}
{{- end -}}

{{- define "fission.clusterMetadata" -}}
name: {{ index . 1 }}
labels:
  {{- include "fission.labels" (index . 0) | nindent 2 }}
{{- end -}}

{{- /* What stays when the release is uninstalled. */ -}}
{{- define "fission.kept" -}}
{{- if not .Values.managedBy }}
annotations: {helm.sh/resource-policy: keep}
{{- end }}
{{- end -}}
