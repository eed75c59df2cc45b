import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allResources } from '../../kube/resources.ts';
import { loadSchema, type Model } from './index.ts';
import { OpenApi, type ServedResource } from './openapi.ts';

const schema = loadSchema();
const pod = schema.kind('', 'v1', 'Pod')!;

function field(model: Model, path: string) {
  const [head, ...rest] = path.split('.');
  const found = model.fields.get(head!);
  assert.ok(found, `${model.name} has no field ${head}`);
  if (rest.length === 0) return found;
  const type = found.type.kind === 'list' ? found.type.items : found.type;
  assert.ok(type.kind === 'model', `${path}: ${head} is a ${type.kind}`);
  return field(type.model, rest.join('.'));
}

test('kinds are found by group, version and kind, models by name, and nothing else is', () => {
  assert.equal(pod.name, 'io.k8s.api.core.v1.Pod');
  assert.equal(schema.model('io.k8s.api.apps.v1.Deployment'), schema.kind('apps', 'v1', 'Deployment'));
  assert.deepEqual(schema.kind('', 'v1', 'Status')?.name, 'io.k8s.apimachinery.pkg.apis.meta.v1.Status');
  for (const name of ['__proto__', 'constructor', 'Pod', '']) assert.equal(schema.model(name), undefined, name);
  assert.equal(schema.kind('', 'v1', 'PodSpec'), undefined);
  assert.equal(schema.kind('apps', 'v1', 'Pod'), undefined);
  for (const { group, version, kind } of allResources)
    assert.ok(schema.kind(group, version, kind), `${group}/${version} ${kind}`);
});

test('fields carry what merging needs: patch merge keys, list types, map keys', () => {
  const ports = field(pod, 'spec.containers.ports');
  assert.deepEqual([ports.strategies, ports.mergeKey], [['merge'], 'containerPort']);
  assert.deepEqual([ports.listType, ports.mapKeys], ['map', ['containerPort', 'protocol']]);
  assert.deepEqual(field(pod, 'spec.volumes').strategies, ['merge', 'retainKeys']);
  assert.equal(field(pod, 'metadata.finalizers').listType, 'set');
  assert.equal(field(pod, 'metadata.ownerReferences').mergeKey, 'uid');
  assert.equal(field(pod, 'spec.nodeSelector').atomic, true);
  const service = schema.kind('', 'v1', 'Service')!;
  assert.equal(field(service, 'spec.ports').mergeKey, 'port');
  assert.equal(field(service, 'spec.selector').atomic, true);
  assert.equal(field(schema.kind('apps', 'v1', 'Deployment')!, 'spec.selector').atomic, true);
});

test('inlined structs are flattened and special forms are marked', () => {
  assert.equal(field(pod, 'spec.volumes.emptyDir').type.kind, 'model');
  assert.equal(field(pod, 'spec.containers.livenessProbe.httpGet').required, false);
  const form = (path: string): unknown => {
    const { type } = field(pod, path);
    const inner = type.kind === 'map' ? type.values : type;
    return inner.kind === 'model' ? inner.model.special : inner.kind;
  };
  assert.equal(form('spec.containers.resources.limits'), 'quantity');
  assert.equal(form('spec.containers.livenessProbe.httpGet.port'), 'intOrString');
  assert.equal(form('metadata.creationTimestamp'), 'time');
  assert.equal(form('metadata.managedFields.fieldsV1'), 'any');
  assert.equal(field(pod, 'spec.containers.name').required, true);
  assert.deepEqual(field(pod, 'spec.restartPolicy').enum, ['Always', 'Never', 'OnFailure']);
  assert.equal(field(pod, 'spec.containers.ports.protocol').default, 'TCP');
});

test('documentation is there for models, fields and inlined fields', () => {
  assert.match(schema.description(pod.name)!, /^Pod is a collection of containers/);
  assert.match(schema.description('io.k8s.api.core.v1.Volume', 'emptyDir')!, /temporary directory/);
  assert.equal(schema.description(pod.name, 'nothing'), undefined);
  assert.equal(schema.description('nothing'), undefined);
});

const resources: ServedResource[] = [
  {
    group: '',
    version: 'v1',
    plural: 'pods',
    kind: 'Pod',
    namespaced: true,
    subresources: ['status', 'log', 'eviction', 'binding'],
  },
  { group: '', version: 'v1', plural: 'nodes', kind: 'Node', namespaced: false, subresources: ['status'] },
  {
    group: 'apps',
    version: 'v1',
    plural: 'deployments',
    kind: 'Deployment',
    namespaced: true,
    subresources: ['scale', 'status'],
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    plural: 'selfsubjectaccessreviews',
    kind: 'SelfSubjectAccessReview',
    namespaced: false,
    verbs: ['create'],
  },
];

interface Document {
  paths: Record<string, Record<string, Record<string, unknown>>>;
  components: { schemas: Record<string, { properties?: Record<string, Record<string, unknown>> } & Record<string, unknown>> };
}

test('every reference of an OpenAPI v3 document leads to a schema in it', () => {
  const api = new OpenApi(schema, resources);
  for (const path of Object.keys(api.index().paths)) {
    const text = api.v3(path)!.body.toString();
    const { components } = JSON.parse(text) as Document;
    const references = new Set([...text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map((match) => match[1]!));
    assert.ok(references.size > 10);
    for (const name of references) assert.ok(components.schemas[name], `${path}: ${name}`);
  }
});

test('OpenAPI v3 tells kubectl how to patch: content types of PATCH, and merge keys', () => {
  const { paths, components } = JSON.parse(new OpenApi(schema, resources).v3('apis/apps/v1')!.body.toString()) as Document;
  const patch = paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}']!.patch!;
  assert.deepEqual(patch['x-kubernetes-group-version-kind'], { group: 'apps', kind: 'Deployment', version: 'v1' });
  assert.ok('application/strategic-merge-patch+json' in (patch.requestBody as { content: object }).content);
  const names = (patch.parameters as { name: string }[]).map(({ name }) => name);
  for (const name of ['dryRun', 'fieldValidation', 'fieldManager', 'force']) assert.ok(names.includes(name), name);
  const containers = components.schemas['io.k8s.api.core.v1.PodSpec']!.properties!.containers!;
  assert.equal(containers['x-kubernetes-patch-merge-key'], 'name');
  assert.equal(containers['x-kubernetes-patch-strategy'], 'merge');
  const scale = paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale']!.patch!;
  assert.deepEqual(scale['x-kubernetes-group-version-kind'], { group: 'autoscaling', kind: 'Scale', version: 'v1' });
});

test('only verbs that are served stand in the document, and the hash changes with what is served', () => {
  const api = new OpenApi(schema, resources);
  const { paths } = JSON.parse(api.v3('apis/authorization.k8s.io/v1')!.body.toString()) as Document;
  assert.deepEqual(Object.keys(paths['/apis/authorization.k8s.io/v1/selfsubjectaccessreviews']!), ['post', 'parameters']);
  assert.equal(api.v3('apis/none/v1'), undefined);
  const fewer = new OpenApi(schema, resources.slice(1));
  assert.notEqual(api.v3('api/v1')!.hash, fewer.v3('api/v1')!.hash);
  assert.equal(api.v3('apis/apps/v1')!.hash, fewer.v3('apis/apps/v1')!.hash);
  assert.equal(api.index().paths['api/v1']!.serverRelativeURL, `/openapi/v3/api/v1?hash=${api.v3('api/v1')!.hash}`);
});
