import { closure, definition, gvkObject, type JsonSchema } from './definitions.ts';
import type { Model, Schema } from './index.ts';
import { MessageWriter } from './protobuf-writer.ts';
import { groupVersionPath, type ServedResource } from './served.ts';

/** The media type. The Accept header writes `proto-openapi.spec.v2@v1.0`, but "@" is illegal in an answer: clients reject it. */
export const openApiV2ContentType = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

const message = (): MessageWriter => new MessageWriter();
/** gnostic openapi_v2.Any: YAML text in field 2. */
const any = (value: unknown): MessageWriter => message().bytes(2, `${JSON.stringify(value)}\n`);
const named = (name: string, value: MessageWriter): MessageWriter => message().bytes(1, name).bytes(2, value);

/** gnostic openapi_v2.Schema; field numbers of openapiv2/OpenAPIv2.proto. */
function schemaMessage(node: JsonSchema): MessageWriter {
  const out = message();
  const text = (field: number, key: string): void => {
    if (typeof node[key] === 'string') out.bytes(field, node[key]);
  };
  text(1, '$ref');
  text(2, 'format');
  text(4, 'description');
  for (const name of (node.required as string[] | undefined) ?? []) out.bytes(19, name);
  if (node.additionalProperties) out.bytes(21, message().bytes(1, schemaMessage(node.additionalProperties as JsonSchema)));
  if (typeof node.type === 'string') out.bytes(22, message().bytes(1, node.type));
  if (node.items) out.bytes(23, message().bytes(1, schemaMessage(node.items as JsonSchema)));
  if (node.properties) {
    const properties = message();
    for (const [name, property] of Object.entries(node.properties))
      properties.bytes(1, named(name, schemaMessage(property as JsonSchema)));
    out.bytes(25, properties);
  }
  for (const [key, value] of Object.entries(node)) if (key.startsWith('x-')) out.bytes(31, named(key, any(value)));
  return out;
}

/** A PATCH operation: kubectl before 1.27 asks it whether the server knows `dryRun` and `fieldValidation`. */
function patchItem(resource: ServedResource): MessageWriter {
  const operation = message();
  for (const name of ['dryRun', 'fieldManager', 'fieldValidation', 'force']) {
    // ParametersItem.parameter → Parameter.non_body_parameter → NonBodyParameter.query_parameter_sub_schema
    const parameter = message()
      .bytes(2, 'query')
      .bytes(4, name)
      .bytes(6, name === 'force' ? 'boolean' : 'string');
    operation.bytes(8, message().bytes(1, message().bytes(2, message().bytes(3, parameter))));
  }
  operation.bytes(9, message());
  operation.bytes(13, named('x-kubernetes-action', any('patch')));
  operation.bytes(
    13,
    named('x-kubernetes-group-version-kind', any(gvkObject([resource.group, resource.version, resource.kind]))),
  );
  return message().bytes(8, operation);
}

/** The OpenAPI v2 document of all served resources as gnostic's protobuf, which kubectl before 1.27 needs for apply and explain. */
export function openApiV2(schema: Schema, resources: readonly ServedResource[]): Buffer {
  const roots: Model[] = [];
  const paths = message();
  for (const resource of resources) {
    const model = schema.kind(resource.group, resource.version, resource.kind);
    if (!model) continue;
    roots.push(model);
    const scope = resource.namespaced ? '/namespaces/{namespace}' : '';
    if (!resource.verbs || resource.verbs.includes('patch'))
      paths.bytes(2, named(`/${groupVersionPath(resource)}${scope}/${resource.plural}/{name}`, patchItem(resource)));
  }
  const definitions = message();
  for (const model of closure(roots))
    definitions.bytes(1, named(model.name, schemaMessage(definition(schema, model, { prefix: '#/definitions/', version: 2 }))));
  return message()
    .bytes(1, '2.0')
    .bytes(2, message().bytes(1, 'Kubernetes').bytes(2, `v${schema.table.version}.0`))
    .bytes(8, paths)
    .bytes(9, definitions)
    .finish();
}
