import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { ValueLimits } from './table.ts';

/** apiextensions.k8s.io/v1 JSONSchemaProps, as far as structural schemas use it. */
export interface StructuralSchema extends ValueLimits {
  type: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  description?: string;
  format?: string;
  properties?: Record<string, StructuralSchema>;
  additionalProperties?: StructuralSchema;
  items?: StructuralSchema;
  required?: string[];
  enum?: string[];
  default?: unknown;
  'x-kubernetes-validations'?: { rule: string; message?: string }[];
  'x-kubernetes-list-type'?: 'map' | 'set' | 'atomic';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-map-type'?: 'atomic' | 'granular';
}

/** apiextensions.k8s.io/v1 CustomResourceDefinition, as far as it is read here. */
export interface CustomResourceDefinition {
  metadata: { name: string; annotations?: Record<string, string> };
  spec: {
    group: string;
    scope: 'Cluster' | 'Namespaced';
    names: { kind: string; listKind: string; plural: string; singular: string; shortNames?: string[] };
    versions: {
      name: string;
      additionalPrinterColumns?: { name: string; type: 'string' | 'integer' | 'date'; jsonPath: string }[];
      schema: { openAPIV3Schema: StructuralSchema };
      subresources?: { status?: object };
    }[];
  };
}

let loaded: readonly CustomResourceDefinition[] | undefined;

/** The custom resources that the server has from the beginning: the policies of network-policy-api. One version each. */
export function servedCrds(): readonly CustomResourceDefinition[] {
  // The depth below the package root is the same in src/ and in the output folder.
  const file = new URL('../../../src/apiserver/schema/data/crds.json.gz', import.meta.url);
  return (loaded ??= JSON.parse(gunzipSync(readFileSync(file)).toString('utf8')) as CustomResourceDefinition[]);
}
