import type { Schema } from './index.ts';
import { openApiV2 } from './openapi-v2.ts';
import { openApiV3, openApiV3Hash } from './openapi-v3.ts';
import { groupVersionPath, type ServedResource } from './served.ts';

export { openApiV2ContentType } from './openapi-v2.ts';
export type { ServedResource } from './served.ts';

/** The OpenAPI documents of a server. Each is built when first asked for and then kept. */
export class OpenApi {
  readonly #schema: Schema;
  readonly #resources: readonly ServedResource[];
  readonly #byPath = new Map<string, { resources: ServedResource[]; hash: string; document?: Buffer }>();
  #v2?: Buffer;

  constructor(schema: Schema, resources: readonly ServedResource[]) {
    this.#schema = schema;
    this.#resources = resources;
    for (const path of new Set(resources.map(groupVersionPath))) {
      const own = resources.filter((resource) => groupVersionPath(resource) === path);
      this.#byPath.set(path, { resources: own, hash: openApiV3Hash(schema, own) });
    }
  }

  /** Body of `GET /openapi/v3`. */
  index(): { paths: Record<string, { serverRelativeURL: string }> } {
    const entries = [...this.#byPath].map(
      ([path, { hash }]) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }] as const,
    );
    return { paths: Object.fromEntries(entries) };
  }

  /**
   * Body (JSON) of `GET /openapi/v3/<path>`, path being `api/v1` or `apis/apps/v1`; undefined: 404. A request whose `?hash=` is this `hash`
   * must be answered with `Cache-Control: public, immutable`, `Expires` a year ahead and `ETag: "<hash>"`, or kubectl reads it again each time.
   */
  v3(path: string): { body: Buffer; hash: string } | undefined {
    const entry = this.#byPath.get(path);
    if (!entry) return undefined;
    entry.document ??= Buffer.from(JSON.stringify(openApiV3(this.#schema, entry.resources)));
    return { body: entry.document, hash: entry.hash };
  }

  /** Body of `GET /openapi/v2`, of content type `openApiV2ContentType`. */
  v2(): Buffer {
    return (this.#v2 ??= openApiV2(this.#schema, this.#resources));
  }
}
