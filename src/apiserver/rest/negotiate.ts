import { ApiError } from '../../kube/api.ts';

/** The form in which a client wants objects. */
export type Form =
  | { as: 'Object' }
  | { as: 'Table'; version: 'v1' | 'v1beta1' }
  | { as: 'PartialObjectMetadata' | 'PartialObjectMetadataList'; version: 'v1' | 'v1beta1' };

interface MediaRange {
  type: string;
  parameters: Map<string, string>;
}

function parse(accept: string): MediaRange[] {
  return accept.split(',').map((part) => {
    const [type = '', ...parameters] = part.split(';').map((text) => text.trim());
    return { type: type.toLowerCase(), parameters: new Map(parameters.map((text) => text.split('=', 2) as [string, string])) };
  });
}

const isJson = (type: string): boolean => type === 'application/json' || type === '*/*' || type === 'application/*';
const isVersion = (text: string | undefined): text is 'v1' | 'v1beta1' => text === 'v1' || text === 'v1beta1';

const notAcceptable = new ApiError(
  406,
  'NotAcceptable',
  'only the following media types are accepted: application/json, application/json;as=Table;g=meta.k8s.io;v=v1, application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
);

/** The first of the Accept header's forms that we can give. Answers are JSON always. @throws ApiError 406 */
export function negotiate(accept: string | undefined): Form {
  if (!accept) return { as: 'Object' };
  for (const { type, parameters } of parse(accept)) {
    if (!isJson(type)) continue;
    const as = parameters.get('as');
    if (as === undefined) return { as: 'Object' };
    const version = parameters.get('v');
    if (parameters.get('g') !== 'meta.k8s.io' || !isVersion(version)) continue;
    if (as === 'Table' || as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') return { as, version };
  }
  throw notAcceptable;
}

/** Whether `/api` and `/apis` are asked for in one piece. */
export function wantsAggregated(accept: string | undefined): 'v2' | 'v2beta1' | undefined {
  for (const { type, parameters } of parse(accept ?? '')) {
    const version = parameters.get('v');
    if (type === 'application/json' && parameters.get('as') === 'APIGroupDiscoveryList') {
      if (version === 'v2' || version === 'v2beta1') return version;
    } else if (isJson(type) && !parameters.has('as')) return undefined;
  }
  return undefined;
}
