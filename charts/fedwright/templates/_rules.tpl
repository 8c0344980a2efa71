{{/* What the operator may do where it serves requests. Nothing that is not here; no wildcard. */}}

{{- define "fedwright.rules" -}}
# Requests are people's: it reads them, and writes their status alone.
- apiGroups: [fedwright.dev]
  resources: [flstrategyrequests]
  verbs: [get, list, watch]
# Children of a request: made and kept by server-side apply (create, patch). `delete` ends what is not wanted any more, and
# is what clusters that guard owner references ask of whoever changes them, as a promotion does.
- apiGroups: [fedwright.dev]
  resources: [candidates, federations, fldeployments]
  verbs: [get, list, watch, create, patch, delete]
# A status is written whole, once a pass.
- apiGroups: [fedwright.dev]
  resources: [flstrategyrequests/status, candidates/status, federations/status, fldeployments/status]
  verbs: [patch]
# Asked of whoever makes something that blocks the deletion of its owner.
- apiGroups: [fedwright.dev]
  resources: [flstrategyrequests/finalizers, candidates/finalizers, federations/finalizers, fldeployments/finalizers]
  verbs: [update]
# Works, small artifacts, results; what the requests of a namespace taught and Helm's record of a federation, which are also
# updated. Watched: results of works.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, update, delete]
# A mind's allowance; a federation's certificates, node keys and token. It asks for those that it made, by name: there is no
# `list` and no `watch`, so it can find no other. RBAC cannot say "its own" more closely than that.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
# A work is a Job, which is never changed once it is made.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
# How a work ended is read from its pod.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
# Outputs come by the log of a Job's last, trusted container, and what a federation's registrar sees by its own.
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# Told: changes of phase. Read: why a Job has no pod or a pod no volume, which stands nowhere else.
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
# Boxes are closed before the first pod of a namespace starts; a federation brings its own.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, create, patch, delete]
# Of a federation's release: its processes, whose readiness is read too.
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, create, patch, delete]
# Likewise: how nodes find the SuperLink.
- apiGroups: [""]
  resources: [services]
  verbs: [get, create, patch, delete]
{{- end }}
