/** What a URL's path names. */
export type Route =
  | { kind: 'resource'; group: string; version: string; plural: string; namespace?: string; name?: string; subresource?: string }
  | { kind: 'other'; path: string };

/** `/api/v1/namespaces/a/pods/b/log` and the like. @throws URIError when the path is wrongly escaped */
export function parseRoute(pathname: string): Route {
  const steps = pathname
    .split('/')
    .filter((step) => step !== '')
    .map(decodeURIComponent);
  const core = steps[0] === 'api';
  const head = core ? 2 : 3;
  if ((!core && steps[0] !== 'apis') || steps.length <= head) return { kind: 'other', path: pathname };
  const [group, version] = core ? ['', steps[1]!] : [steps[1]!, steps[2]!];
  const rest = steps.slice(head);
  // Not a resource of this server, and answered all the same: see other-handler.ts.
  if (group === 'apiextensions.k8s.io') return { kind: 'other', path: pathname };
  // `namespaces/x` is the Namespace itself, with `status` and `finalize` below it; anything else below is a resource in it.
  const inNamespace =
    rest[0] === 'namespaces' && rest.length > 2 && !(rest.length === 3 && (rest[2] === 'status' || rest[2] === 'finalize'));
  const [plural, name, subresource, ...more] = inNamespace ? rest.slice(2) : rest;
  if (more.length > 0) return { kind: 'other', path: pathname };
  return {
    kind: 'resource',
    group,
    version,
    plural: plural!,
    ...(inNamespace && { namespace: rest[1]! }),
    ...(name !== undefined && { name }),
    ...(subresource !== undefined && { subresource }),
  };
}
