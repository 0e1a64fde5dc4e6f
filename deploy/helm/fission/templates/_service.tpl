{{- /* A Service inside the cluster: (dict "root" $ "name" "executor" "svc" "executor" "port" 80 "target" 8888). */ -}}
{{- define "fission.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "fission.metadata" (list .root .name) | nindent 2 }}
    svc: {{ .svc }}
    {{- with .application }}
    application: {{ . }}
    {{- end }}
  {{- with .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .type | default "ClusterIP" }}
  selector:
    {{- include "fission.selector" (list .root .svc) | nindent 4 }}
  ports:
    - name: {{ .portName | default "http" }}
      port: {{ .port }}
      targetPort: {{ .target }}
      {{- with .nodePort }}
      nodePort: {{ . }}
      {{- end }}
{{- end -}}
