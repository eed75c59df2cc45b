import type { IncomingMessage } from 'node:http';
import { ApiError } from '../../kube/api.ts';
import { parseYaml } from '../../kube/yaml.ts';
import { duplicateFields } from '../codec/duplicates.ts';
import { badRequest, unsupportedMediaType } from '../errors.ts';
import { decodeProtobuf, ProtobufError, protobufContentType } from '../protobuf/index.ts';

/** As the real server's. */
const maxBytes = 3 * 1024 * 1024;

export interface Body {
  value: unknown;
  /** Paths that stand twice in the text. Only looked for when asked. */
  duplicates: string[];
}

/** @throws ApiError 413 */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += (chunk as Buffer).length;
    if (length > maxBytes) throw new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${maxBytes}`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

const mediaType = (request: IncomingMessage): string =>
  (request.headers['content-type'] ?? 'application/json').split(';')[0]!.trim().toLowerCase();

/** The body as JSON, whatever it came as. @throws ApiError 400, 415 */
export function decodeContent(request: IncomingMessage, bytes: Buffer, findDuplicates: boolean): Body {
  const type = mediaType(request);
  if (type === protobufContentType) {
    try {
      return { value: decodeProtobuf(bytes), duplicates: [] };
    } catch (error) {
      if (error instanceof ProtobufError)
        throw badRequest(`the body of the request is no protobuf that this server understands: ${error.message}`);
      throw error;
    }
  }
  const text = bytes.toString('utf8');
  if (type === 'application/yaml' || type === 'application/apply-patch+yaml') return fromYaml(text);
  if (type !== 'application/json' && !type.endsWith('+json'))
    throw unsupportedMediaType(['application/json', 'application/yaml', protobufContentType]);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badRequest(`couldn't get version/kind; json parse error: ${(error as Error).message}`);
  }
  return { value, duplicates: findDuplicates ? duplicateFields(text) : [] };
}

function fromYaml(text: string): Body {
  try {
    return { value: parseYaml(text, { maxAliasCount: 100, version: '1.1' }), duplicates: [] };
  } catch (error) {
    throw badRequest(`error decoding YAML: ${(error as Error).message}`);
  }
}
