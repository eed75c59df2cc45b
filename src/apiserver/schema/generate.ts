/**
 * Writes data/*.json.gz and src/kube/types.ts from the sources of Kubernetes. Run by hand for a new release:
 *
 *     npm run build && node dist/apiserver/schema/generate.js <golang-k8s-api dir> [<client-node dir>]
 *
 * - <golang-k8s-api dir>: holds k8s.io/ of Debian's packages golang-k8s-api-dev and golang-k8s-apimachinery-dev, of the suite that has the
 *   wanted release: `apt-get download` both, `dpkg-deb -x` each into one directory; it is usr/share/gocode/src there. Nothing is installed.
 *   types.go is the source of the real API server's OpenAPI too: names, types, struct tags (protobuf numbers, merge keys), markers
 *   (list types, defaults, enums) and documentation all come from there.
 * - <client-node dir>: the unpacked npm package @kubernetes/client-node of the same release (`npm pack`). Its models were made from the
 *   OpenAPI document of the real server: a second opinion. Every difference is printed.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { compareWithClient } from './generate/compare.ts';
import { compareWithProto } from './generate/compare-proto.ts';
import { readPackage } from './generate/go.ts';
import { ModelBuilder } from './generate/models.ts';
import { typesSource } from './generate/types.ts';

const apis = [
  ...[
    'admissionregistration/v1',
    'apps/v1',
    'authentication/v1',
    'authorization/v1',
    'autoscaling/v1',
    'autoscaling/v2',
    'batch/v1',
  ],
  ...['certificates/v1', 'coordination/v1', 'core/v1', 'discovery/v1', 'events/v1', 'networking/v1', 'node/v1', 'policy/v1'],
  // policy/v1beta1 only has Eviction left, which kubectl before 1.22 sends.
  ...['policy/v1beta1', 'rbac/v1', 'resource/v1', 'scheduling/v1', 'storage/v1'],
];

const [goRoot, clientNode] = process.argv.slice(2);
if (!goRoot || !existsSync(path.join(goRoot, 'k8s.io/api/core/v1/types.go')))
  throw new Error('usage: generate <golang-k8s-api dir> [<client-node dir>]: the first must hold k8s.io/api/core/v1/types.go');

const packages = ['apimachinery/pkg/apis/meta/v1', ...apis.map((api) => `api/${api}`)].map((name) =>
  readPackage(goRoot, `k8s.io/${name}`),
);
const release = /^### Feature|k8s\.io\/apimachinery v0\.(\d+)/m.exec(
  readFileSync(path.join(goRoot, 'k8s.io/api/go.mod'), 'utf8'),
)?.[1];
const builder = new ModelBuilder(`1.${release ?? '36'}`, packages);
const { table, descriptions } = builder;

for (const difference of compareWithProto(table, goRoot)) console.log(difference);
if (clientNode) for (const difference of compareWithClient(table, clientNode)) console.log(difference);

const root = new URL('../../../', import.meta.url);
const save = (name: string, value: unknown): void => {
  const text = JSON.stringify(value);
  const packed = gzipSync(text, { level: 9 });
  writeFileSync(new URL(`src/apiserver/schema/data/${name}`, root), packed);
  console.log(`${name}: ${text.length} bytes, packed ${packed.length}`);
};
save('models.json.gz', table);
save('descriptions.json.gz', descriptions);
writeFileSync(new URL('src/kube/types.ts', root), typesSource(table));

// Kubernetes' own round-trip fixtures: each kind with every field set, in both encodings. The protobuf decoder's tests read them.
const fixtures: Record<string, { json: unknown; protobuf: string }> = {};
const testdata = path.join(goRoot, 'k8s.io/api/testdata/HEAD');
for (const { gvk } of Object.values(table.models)) {
  if (!gvk) continue;
  const file = path.join(testdata, `${gvk[0] || 'core'}.${gvk[1]}.${gvk[2]}`);
  if (!existsSync(`${file}.pb`)) continue;
  fixtures[gvk.join('/')] = {
    json: JSON.parse(readFileSync(`${file}.json`, 'utf8')),
    protobuf: readFileSync(`${file}.pb`, 'base64'),
  };
}
save('../../protobuf/data/fixtures.json.gz', fixtures);
console.log(
  `${Object.keys(table.models).length} models, ${Object.keys(table.enums).length} enums of Kubernetes ${table.version}`,
);
