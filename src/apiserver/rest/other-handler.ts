import type { IncomingMessage } from 'node:http';
import { kubernetesVersion } from '../../kube/version.ts';
import type { Context } from '../context.ts';
import { aggregatedDiscovery } from '../discovery/aggregated.ts';
import { type Group, groupsOf } from '../discovery/groups.ts';
import { apiGroup, apiGroupList, apiResourceList, apiVersions } from '../discovery/legacy.ts';
import { methodNotAllowed, noSuchPath } from '../errors.ts';
import { servedResources } from '../resources.ts';
import { openApiV2ContentType } from '../schema/openapi.ts';
import { negotiate, wantsAggregated } from './negotiate.ts';
import { type Answer, sendBytes, sendJson, sendText } from './respond.ts';

const groups = groupsOf(servedResources);
const isCore = ({ name }: Group): boolean => name === '';

/** What this server says it is: the Kubernetes release whose API it serves, and that it is podnet's. */
const versionInfo = {
  major: kubernetesVersion.major,
  minor: kubernetesVersion.minor,
  gitVersion: `${kubernetesVersion.full}+podnet`,
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'node',
  platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
};

/**
 * There are no custom resources. kubectl asks all the same before it says that a kind is unknown, and says something else when nobody
 * answers; so the list is served, and advertised nowhere.
 */
const definitions = 'apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const noDefinitions = {
  kind: 'CustomResourceDefinitionList',
  apiVersion: 'apiextensions.k8s.io/v1',
  metadata: { resourceVersion: '1' },
  items: [],
};

const oneYear = 365 * 86_400;

/** Discovery, OpenAPI, version and health. */
export function handleOther(context: Context, answer: Answer, request: IncomingMessage, path: string, query: URLSearchParams) {
  if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed();
  const steps = path.split('/').filter((step) => step !== '');
  const [first = '', second, third, ...more] = steps;
  switch (first) {
    case '':
      return sendJson(answer, 200, {
        paths: [
          '/api',
          '/api/v1',
          '/apis',
          ...groups.filter((group) => !isCore(group)).map(({ name }) => `/apis/${name}`),
          '/healthz',
          '/livez',
          '/openapi/v2',
          '/openapi/v3',
          '/readyz',
          '/version',
        ],
      });
    case 'version':
      return sendJson(answer, 200, versionInfo);
    case 'healthz':
    case 'livez':
    case 'readyz':
      if (query.has('verbose')) return sendText(answer, 200, `[+]ping ok\n[+]store ok (in memory only)\n${first} check passed\n`);
      return sendText(answer, 200, 'ok');
    case 'openapi':
      return openApi(context, answer, steps, query);
    case 'api':
    case 'apis': {
      const core = first === 'api';
      if (second === undefined) return discovery(answer, request, core);
      if (steps.join('/') === definitions) return sendJson(answer, 200, noDefinitions);
      negotiate(request.headers.accept);
      if (core || third !== undefined) {
        const list = core ? apiResourceList(groups, '', second) : apiResourceList(groups, second, third!);
        if (!list || more.length > 0) throw noSuchPath();
        return sendJson(answer, 200, list);
      }
      const group = groups.find(({ name }) => name === second);
      if (!group) throw noSuchPath();
      return sendJson(answer, 200, { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(group) });
    }
    default:
      throw noSuchPath();
  }
}

function discovery(answer: Answer, request: IncomingMessage, core: boolean) {
  const own = groups.filter((group) => isCore(group) === core);
  const version = wantsAggregated(request.headers.accept);
  answer.response.setHeader('vary', 'Accept');
  if (version) {
    const body = Buffer.from(JSON.stringify(aggregatedDiscovery(own, version)));
    return sendBytes(answer, 200, body, `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`);
  }
  sendJson(answer, 200, core ? apiVersions(request.headers.host ?? '') : apiGroupList(own));
}

function openApi({ openApi: documents }: Context, answer: Answer, [, version, ...rest]: string[], query: URLSearchParams) {
  if (version === 'v2' && rest.length === 0) return sendBytes(answer, 200, documents.v2(), openApiV2ContentType);
  if (version !== 'v3') throw noSuchPath();
  if (rest.length === 0) return sendJson(answer, 200, documents.index());
  const document = documents.v3(rest.join('/'));
  if (!document) throw noSuchPath();
  const { response } = answer;
  response.setHeader('etag', `"${document.hash}"`);
  if (query.get('hash') === document.hash) {
    // The URL changes with the document, so clients may keep it for ever.
    const expires = new Date(Date.now() + oneYear * 1000).toUTCString();
    response.writeHead(200, {
      'content-type': 'application/json',
      'cache-control': 'public, immutable',
      expires,
      'content-length': document.body.length,
    });
    response.end(document.body);
  } else sendBytes(answer, 200, document.body);
}
