{{- define "haldane.name" -}}
{{- if contains "haldane" .Release.Name }}{{ .Release.Name }}{{ else }}haldane-{{ .Release.Name }}{{ end }}
{{- end }}

{{- define "haldane.selector" -}}
app.kubernetes.io/name: haldane
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "haldane.labels" -}}
{{ include "haldane.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "haldane.port" -}}
{{- $listen := dig "serve" "listen" "" .Values.pipeline -}}
{{- if or (not $listen) (hasPrefix "127." $listen) (hasPrefix "localhost" $listen) (hasPrefix "[::1]" $listen) -}}
{{- fail "pipeline.serve.listen must be an address that the pod has, such as 0.0.0.0:8088: the default is loopback, where no probe and no Service reaches it" -}}
{{- end -}}
{{- regexFind "[0-9]+$" $listen -}}
{{- end }}

{{/* One pod: (dict "root" . "part" "run" "args" (list …) "http" true "account" "" "store" true "resources" …) */}}
{{- define "haldane.pod" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "haldane.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .part }}
    {{- with $root.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Another pipeline is another pod.
    checksum/pipeline: {{ toYaml (list $root.Values.pipeline $root.Values.files) | sha256sum }}
    {{- with $root.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- if .account }}
  serviceAccountName: {{ .account }}
  {{- else }}
  automountServiceAccountToken: false
  {{- end }}
  # SIGTERM drains within 25 s.
  terminationGracePeriodSeconds: 30
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    fsGroup: 65532
    seccompProfile: { type: RuntimeDefault }
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: haldane
      image: {{ printf "%s:%s" $root.Values.image.repository ($root.Values.image.tag | default $root.Chart.AppVersion) | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: {{ toJson .args }}
      {{- if .http }}
      {{- $scheme := ternary "HTTPS" "HTTP" (not (empty (dig "serve" "tls" "" $root.Values.pipeline))) }}
      ports:
        - { name: http, containerPort: {{ include "haldane.port" $root }} }
      # A start may read back what `labels.horizon` asks for: that is no reason to end it.
      startupProbe:
        httpGet: { path: /livez, port: http, scheme: {{ $scheme }} }
        periodSeconds: 5
        failureThreshold: 60
      livenessProbe:
        httpGet: { path: /livez, port: http, scheme: {{ $scheme }} }
        periodSeconds: 10
      readinessProbe:
        httpGet: { path: /readyz, port: http, scheme: {{ $scheme }} }
        periodSeconds: 5
      {{- end }}
      resources: {{- toYaml .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
      volumeMounts:
        - { name: pipeline, mountPath: /etc/haldane/pipeline, readOnly: true }
        - { name: tmp, mountPath: /tmp }
        {{- if and .store $root.Values.store.size }}
        - { name: store, mountPath: /var/lib/haldane }
        {{- end }}
        {{- range $root.Values.secrets }}
        - { name: {{ .secret | quote }}, mountPath: {{ .at | quote }}, readOnly: true }
        {{- end }}
  volumes:
    - name: pipeline
      configMap: { name: {{ include "haldane.name" $root }} }
    - name: tmp
      emptyDir: {}
    {{- if and .store $root.Values.store.size }}
    - name: store
      persistentVolumeClaim: { claimName: {{ include "haldane.name" $root }} }
    {{- end }}
    {{- range $root.Values.secrets }}
    - name: {{ .secret | quote }}
      secret: { secretName: {{ .secret | quote }}, defaultMode: 0440 }
    {{- end }}
{{- end }}

{{/* One Deployment: (dict "root" . "part" … "replicas" 1 "strategy" …) and what "haldane.pod" takes. */}}
{{- define "haldane.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "haldane.name" .root }}-{{ .part }}
  labels:
    {{- include "haldane.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .part }}
spec:
  replicas: {{ .replicas }}
  strategy: { type: {{ .strategy }} }
  selector:
    matchLabels:
      {{- include "haldane.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .part }}
  template:
    {{- include "haldane.pod" . | nindent 4 }}
{{- end }}
