{{- /* Plural names of the kinds users make. */ -}}
{{- define "fission.kinds" -}}
["canaryconfigs","environments","functionaliases","functions","functionversions","httptriggers","kuberneteswatchtriggers","messagequeuetriggers","packages","timetriggers","workflowruns","workflows"]
{{- end -}}

{{- /*
What components may do. "resources": where users' objects are. "functions", "builders": where their pods are.
*/ -}}
{{- define "fission.rules.router.resources" -}}
- apiGroups: [fission.io]
  resources: [environments, functionaliases, functions, functionversions, httptriggers]
  verbs: [get, list, watch]
- apiGroups: [fission.io]
  resources: [httptriggers/status]
  verbs: [get, update, patch]
{{- end -}}
{{- define "fission.rules.router.functions" -}}
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
{{- end -}}

{{- define "fission.rules.executor.resources" -}}
- apiGroups: [fission.io]
  resources: [environments, functionaliases, functions, functionversions, packages]
  verbs: [get, list, watch]
- apiGroups: [fission.io]
  resources: [environments/status, functions/status]
  verbs: [get, update, patch]
# OpenShift lets nobody own an object who may not set the owner's finalizers.
- apiGroups: [fission.io]
  resources: [environments/finalizers, functions/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [configmaps, secrets]
  verbs: [get, list, watch]
{{ include "fission.rules.events" . }}
{{- end -}}
{{- define "fission.rules.executor.functions" -}}
{{ include "fission.rules.workloads" . }}
- apiGroups: [""]
  resources: [endpoints]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [metrics.k8s.io]
  resources: [pods]
  verbs: [get, list]
{{- end -}}

{{- define "fission.rules.buildermgr.resources" -}}
- apiGroups: [fission.io]
  resources: [functions, packages]
  verbs: [get, list, watch, update, patch]
- apiGroups: [fission.io]
  resources: [environments]
  verbs: [get, list, watch]
- apiGroups: [fission.io]
  resources: [environments/status, functions/status, packages/status]
  verbs: [get, update, patch]
- apiGroups: [fission.io]
  resources: [environments/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{ include "fission.rules.events" . }}
{{- end -}}
{{- define "fission.rules.buildermgr.builders" -}}
{{ include "fission.rules.workloads" . }}
- apiGroups: [""]
  resources: [endpoints]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [metrics.k8s.io]
  resources: [pods]
  verbs: [get, list]
{{- end -}}

{{- define "fission.rules.storagesvc.resources" -}}
- apiGroups: [fission.io]
  resources: [packages]
  verbs: [get, list, watch]
{{- end -}}

{{- define "fission.rules.triggers.resources" -}}
- apiGroups: [fission.io]
  resources:
    - canaryconfigs
    - environments
    - functionaliases
    - functions
    - functionversions
    - httptriggers
    - kuberneteswatchtriggers
    - messagequeuetriggers
    - timetriggers
    - workflowruns
    - workflows
  verbs: [get, list, watch]
- apiGroups: [fission.io]
  resources:
    - canaryconfigs/status
    - httptriggers/status
    - kuberneteswatchtriggers/status
    - messagequeuetriggers/status
    - timetriggers/status
    - workflowruns/status
    - workflows/status
  verbs: [get, update, patch]
# A canary shifts the weights of a route or an alias; a run of a workflow is made and cleared away.
- apiGroups: [fission.io]
  resources: [functionaliases, httptriggers]
  verbs: [update, patch]
- apiGroups: [fission.io]
  resources: [workflowruns]
  verbs: [create, update, patch, delete]
# What a watch trigger may watch.
- apiGroups: [""]
  resources: [pods, replicationcontrollers, services]
  verbs: [get, list, watch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch]
{{ include "fission.rules.events" . }}
{{- end -}}

{{- /* In the namespace of the release: what leads the edge of the cluster to the router. */ -}}
{{- define "fission.rules.exposure" -}}
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, create, update, delete]
{{- if include "fission.httpRoutes" . }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, create, update, delete]
{{- end }}
{{- end -}}

{{- define "fission.rules.logs.functions" -}}
- apiGroups: [""]
  resources: [pods, pods/log]
  verbs: [get, list, watch]
{{- end -}}

{{- define "fission.rules.fetcher.resources" -}}
- apiGroups: [fission.io]
  resources: [packages]
  verbs: [get]
- apiGroups: [""]
  resources: [configmaps, secrets]
  verbs: [get]
{{- end -}}
{{- define "fission.rules.fetcher.functions" -}}
{{ include "fission.rules.events" . }}
{{- end -}}
{{- define "fission.rules.builder.resources" -}}
- apiGroups: [fission.io]
  resources: [packages]
  verbs: [get]
{{- end -}}

{{- define "fission.rules.events" -}}
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- /* Making, following and clearing away pods. */ -}}
{{- define "fission.rules.workloads" -}}
- apiGroups: [""]
  resources: [pods, services]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [apps]
  resources: [deployments, replicasets]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, update, patch]
# Keys of the sidecars, and what pods are given.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, patch]
{{ include "fission.rules.events" . }}
{{- end -}}

{{- /* Everything a component may do outside the release's namespace: (dict "root" $ "component" "router"). */ -}}
{{- define "fission.rules.everything" -}}
{{- $sets := index (dict
  "router" (list "resources" "functions") "executor" (list "resources" "functions")
  "buildermgr" (list "resources" "builders") "storagesvc" (list "resources") "triggers" (list "resources")
  "logs" (list "functions") "fetcher" (list "resources" "functions") "builder" (list "resources")
) .component -}}
{{- range $i, $set := $sets }}
{{ include (printf "fission.rules.%s.%s" $.component $set) $.root }}
{{- end }}
{{- end -}}

{{- /* A Role and its RoleBinding: a dict of root, name, namespace, rules (YAML), subjects (list of {name, namespace}). */ -}}
{{- define "fission.grant" -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "fission.metadata" (list .root .name .namespace) | nindent 2 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "fission.metadata" (list .root .name .namespace) | nindent 2 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ .name }}}
subjects:
  {{- range .subjects }}
  - kind: ServiceAccount
    name: {{ .name }}
    namespace: {{ .namespace }}
  {{- end }}
{{ end -}}
