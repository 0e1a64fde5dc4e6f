{{- /* What every pod and container of the platform is: restricted, without a number of a user or group. */ -}}
{{- define "fission.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}
{{- define "fission.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- /* Settings of every component. The namespaces come from the ConfigMap, so that a new one changes no pod. */ -}}
{{- define "fission.env" -}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: FISSION_DEFAULT_NAMESPACE
  value: {{ .Values.defaultNamespace | quote }}
- name: FISSION_RESOURCE_NAMESPACES
  valueFrom: {configMapKeyRef: {name: fission-namespaces, key: namespaces}}
- name: FISSION_TENANCY_MODE
  value: {{ .Values.tenancy.mode }}
- name: FISSION_FUNCTION_NAMESPACE
  value: {{ .Values.functionNamespace | quote }}
- name: FISSION_BUILDER_NAMESPACE
  value: {{ .Values.builderNamespace | quote }}
- name: FISSION_INTERNAL_AUTH_SECRET_NAME
  value: {{ include "fission.internalSecret" . }}
- name: CLUSTER_DOMAIN
  value: {{ .Values.clusterDomain }}
- name: FISSION_LOG
  value: {{ .Values.logLevel | quote }}
{{- end -}}

{{- define "fission.fetcherEnv" -}}
- name: FETCHER_IMAGE
  value: {{ include "fission.image" . }}
- name: FETCHER_IMAGE_PULL_POLICY
  value: {{ .Values.pullPolicy }}
- name: FETCHER_MINCPU
  value: {{ .Values.fetcher.resource.cpu.requests | quote }}
- name: FETCHER_MINMEM
  value: {{ .Values.fetcher.resource.mem.requests | quote }}
- name: FETCHER_MAXCPU
  value: {{ .Values.fetcher.resource.cpu.limits | quote }}
- name: FETCHER_MAXMEM
  value: {{ .Values.fetcher.resource.mem.limits | quote }}
{{- with .Values.fetcher.allowInsecureRegistries }}
- name: FETCHER_ALLOW_INSECURE_REGISTRIES
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{- /*
A Deployment: a dict of
  root, name (also the label svc and the key of its values), role (what the program is told), account
  ports      list of {name, port}
  env, mounts, volumes, strategy, lifecycle, podExtra   YAML, each optional
  application, grace, replicas, fsGroup                 each optional
*/ -}}
{{- define "fission.deployment" -}}
{{- $ := .root -}}
{{- $values := index $.Values .name -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "fission.metadata" (list $ .name) | nindent 2 }}
    svc: {{ .name }}
    {{- with .application }}
    application: {{ . }}
    {{- end }}
spec:
  replicas: {{ .replicas | default $values.replicas | default 1 }}
  {{- with .strategy }}
  strategy: {{- . | nindent 4 }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "fission.selector" (list $ .name) | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "fission.selector" (list $ .name) | nindent 8 }}
        app.kubernetes.io/part-of: fission
        {{- with .application }}
        application: {{ . }}
        {{- end }}
        {{- with $.Values.podLabels }}{{ toYaml . | nindent 8 }}{{ end }}
      {{- with $.Values.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ .account }}
      automountServiceAccountToken: true
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .grace | default 35 }}
      {{- include "fission.scheduling" $ | nindent 6 }}
      {{- with .podExtra }}{{ . | nindent 6 }}{{ end }}
      securityContext:
        {{- include "fission.podSecurity" $ | nindent 8 }}
        {{- with .fsGroup }}
        fsGroup: {{ . }}
        fsGroupChangePolicy: OnRootMismatch
        {{- end }}
      containers:
        - name: {{ .name }}
          image: {{ include "fission.image" $ }}
          imagePullPolicy: {{ $.Values.pullPolicy }}
          args: [{{ .role }}]
          ports:
            {{- range .ports }}
            - {name: {{ .name }}, containerPort: {{ .port }}, protocol: TCP}
            {{- end }}
            - {name: metrics, containerPort: 8080, protocol: TCP}
          env:
            {{- include "fission.env" $ | nindent 12 }}
            {{- with .env }}{{ . | nindent 12 }}{{ end }}
            {{- with $values.extraEnv }}{{ toYaml . | nindent 12 }}{{ end }}
          startupProbe:
            httpGet: {path: /healthz, port: metrics}
            periodSeconds: 1
            failureThreshold: 120
          readinessProbe:
            httpGet: {path: /readyz, port: metrics}
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 3
          livenessProbe:
            httpGet: {path: /healthz, port: metrics}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          {{- with .lifecycle }}
          lifecycle: {{- . | nindent 12 }}
          {{- end }}
          resources: {{- toYaml $values.resources | nindent 12 }}
          securityContext:
            {{- include "fission.containerSecurity" $ | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- with .mounts }}{{ . | nindent 12 }}{{ end }}
      volumes:
        - {name: tmp, emptyDir: {}}
        {{- with .volumes }}{{ . | nindent 8 }}{{ end }}
{{- end -}}

{{- /* Where pods may run, as the values say. */ -}}
{{- define "fission.scheduling" -}}
{{- $parts := dict -}}
{{- with .Values.imagePullSecrets }}{{ $_ := set $parts "imagePullSecrets" . }}{{ end -}}
{{- with .Values.priorityClassName }}{{ $_ := set $parts "priorityClassName" . }}{{ end -}}
{{- with .Values.nodeSelector }}{{ $_ := set $parts "nodeSelector" . }}{{ end -}}
{{- with .Values.tolerations }}{{ $_ := set $parts "tolerations" . }}{{ end -}}
{{- with .Values.affinity }}{{ $_ := set $parts "affinity" . }}{{ end -}}
{{- if kindIs "bool" .Values.hostUsers }}{{ $_ := set $parts "hostUsers" .Values.hostUsers }}{{ end -}}
{{- with $parts }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- /* For components of which one leads: a new one can become ready only when the old one has let go. */ -}}
{{- define "fission.leaderStrategy" -}}
type: RollingUpdate
rollingUpdate: {maxUnavailable: 100%, maxSurge: 1}
{{- end -}}

{{- /* A claim: (list $ "name" .Values.persistence). */ -}}
{{- define "fission.claim" -}}
{{- $ := index . 0 -}}{{- $values := index . 2 -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "fission.metadata" (list $ (index . 1)) | nindent 2 }}
  {{- include "fission.kept" $ | nindent 2 }}
spec:
  accessModes: [{{ $values.accessMode }}]
  resources:
    requests:
      storage: {{ $values.size }}
  {{- with $values.storageClassName }}
  storageClassName: {{ . | quote }}
  {{- end }}
{{- end -}}

{{- /* The group that may write to volumes of a component: (list $ .Values.persistence). */ -}}
{{- define "fission.fsGroup" -}}
{{- $ := index . 0 -}}{{- $values := index . 1 -}}
{{- if and $values.enabled (not (include "fission.isOpenShift" $)) -}}
{{- if eq (toString $.Values.persistence.fsGroup) "auto" }}65532{{ else if $.Values.persistence.fsGroup }}{{ int $.Values.persistence.fsGroup }}{{ end -}}
{{- end -}}
{{- end -}}
