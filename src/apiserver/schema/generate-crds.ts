/**
 * Writes data/crds.json.gz from CustomResourceDefinitions as their projects publish them. Run by hand for a new release:
 *
 *     npm run build && node dist/apiserver/schema/generate-crds.js <file.yaml> ...
 *
 * Those that podnet serves are of kubernetes-sigs/network-policy-api, experimental channel (config/crd/experimental):
 * clusternetworkpolicies of v0.2.0; adminnetworkpolicies and baselineadminnetworkpolicies of v0.1.7, the last release that had them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { parseYaml } from '../../kube/yaml.ts';
import type { CustomResourceDefinition } from './crds.ts';

const definitions = process.argv.slice(2).map((file) => {
  const { metadata, spec } = parseYaml(readFileSync(file, 'utf8')) as CustomResourceDefinition;
  return { metadata: { name: metadata.name, annotations: metadata.annotations }, spec };
});
if (definitions.length === 0) throw new Error('usage: generate-crds <file.yaml> ...: the CustomResourceDefinitions to be served');
const packed = gzipSync(JSON.stringify(definitions), { level: 9 });
writeFileSync(new URL('../../../src/apiserver/schema/data/crds.json.gz', import.meta.url), packed);
console.log(`${definitions.map(({ metadata }) => metadata.name).join(', ')}: packed ${packed.length} bytes`);
