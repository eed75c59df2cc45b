import type { Json } from '../object.ts';

const podSpec = { containers: [{ name: 'c', image: 'busybox' }] };
const template = { metadata: { labels: { a: 'b' } }, spec: podSpec };
const selector = { matchLabels: { a: 'b' } };
const subject = { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'joe' };
const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'x' };
const rules = [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }];
const metrics = [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } }];
const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'x' };

/** The least that makes a valid object of each kind that is stored, without metadata; by `plural[.group]/version`. */
export const samples: Readonly<Record<string, Json>> = {
  'configmaps/v1': { data: { a: 'b' } },
  'endpoints/v1': { subsets: [{ addresses: [{ ip: '10.0.0.1' }], ports: [{ port: 80, protocol: 'TCP' }] }] },
  'events/v1': { involvedObject: { kind: 'Pod', namespace: 'default', name: 'x' }, reason: 'R', message: 'm', type: 'Normal' },
  'limitranges/v1': { spec: { limits: [{ type: 'Container', max: { cpu: '1' } }] } },
  'namespaces/v1': {},
  'nodes/v1': {},
  'persistentvolumeclaims/v1': { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
  'persistentvolumes/v1': { spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' }, hostPath: { path: '/x' } } },
  'pods/v1': { spec: podSpec },
  'replicationcontrollers/v1': { spec: { selector: { a: 'b' }, template } },
  'resourcequotas/v1': { spec: { hard: { cpu: '1' } } },
  'secrets/v1': { stringData: { a: 'b' } },
  'serviceaccounts/v1': {},
  'services/v1': { spec: { ports: [{ port: 80 }] } },
  'controllerrevisions.apps/v1': { revision: 1, data: { x: 1 } },
  'daemonsets.apps/v1': { spec: { selector, template } },
  'deployments.apps/v1': { spec: { selector, template } },
  'replicasets.apps/v1': { spec: { selector, template } },
  'statefulsets.apps/v1': { spec: { selector, template, serviceName: 's' } },
  'horizontalpodautoscalers.autoscaling/v2': { spec: { scaleTargetRef, maxReplicas: 3, metrics } },
  'horizontalpodautoscalers.autoscaling/v1': { spec: { scaleTargetRef, maxReplicas: 3, targetCPUUtilizationPercentage: 50 } },
  'cronjobs.batch/v1': {
    spec: { schedule: '* * * * *', jobTemplate: { spec: { template: { spec: { ...podSpec, restartPolicy: 'Never' } } } } },
  },
  'jobs.batch/v1': { spec: { template: { spec: { ...podSpec, restartPolicy: 'Never' } } } },
  'leases.coordination.k8s.io/v1': {
    spec: { holderIdentity: 'me', leaseDurationSeconds: 10, renewTime: '2026-01-01T00:00:00.123456Z' },
  },
  'endpointslices.discovery.k8s.io/v1': {
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'] }],
    ports: [{ name: '', port: 80, protocol: 'TCP' }],
  },
  'events.events.k8s.io/v1': {
    regarding: { kind: 'Pod', namespace: 'default', name: 'x' },
    reason: 'R',
    note: 'm',
    type: 'Normal',
    action: 'A',
    reportingController: 'c',
    reportingInstance: 'i',
    eventTime: '2026-01-01T00:00:00.000000Z',
  },
  'ingressclasses.networking.k8s.io/v1': { spec: { controller: 'example.com/x' } },
  'ingresses.networking.k8s.io/v1': {
    spec: {
      rules: [
        {
          host: 'a.b',
          http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 's', port: { number: 80 } } } }] },
        },
      ],
    },
  },
  'ipaddresses.networking.k8s.io/v1': { spec: { parentRef: { resource: 'services', namespace: 'default', name: 'x' } } },
  'networkpolicies.networking.k8s.io/v1': { spec: { podSelector: {}, ingress: [{ ports: [{ port: 80 }] }] } },
  'servicecidrs.networking.k8s.io/v1': { spec: { cidrs: ['10.97.0.0/16'] } },
  'poddisruptionbudgets.policy/v1': { spec: { minAvailable: 1, selector } },
  'clusterrolebindings.rbac.authorization.k8s.io/v1': { subjects: [subject], roleRef },
  'clusterroles.rbac.authorization.k8s.io/v1': { rules },
  'rolebindings.rbac.authorization.k8s.io/v1': { subjects: [subject], roleRef },
  'roles.rbac.authorization.k8s.io/v1': { rules },
  'priorityclasses.scheduling.k8s.io/v1': { value: 5 },
  'storageclasses.storage.k8s.io/v1': { provisioner: 'example.com/x' },
  'clusternetworkpolicies.policy.networking.k8s.io/v1alpha2': {
    spec: {
      tier: 'Admin',
      priority: 0,
      subject: { namespaces: {} },
      ingress: [{ action: 'Pass', from: [{ namespaces: {} }], protocols: [{ tcp: { destinationPort: { number: 80 } } }] }],
    },
  },
  'adminnetworkpolicies.policy.networking.k8s.io/v1alpha1': {
    spec: { priority: 5, subject: { namespaces: {} }, egress: [{ action: 'Deny', to: [{ networks: ['10.0.0.0/8'] }] }] },
  },
  'baselineadminnetworkpolicies.policy.networking.k8s.io/v1alpha1': {
    spec: { subject: { pods: { namespaceSelector: {}, podSelector: { matchLabels: { a: 'b' } } } } },
  },
};
