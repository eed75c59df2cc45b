import type { KubeObject, Resource } from '../kube/api.ts';
import { apiVersionOf, NetworkPolicies } from '../kube/resources.ts';
import { LimitedPolicies } from '../policy/limited-policies.ts';
import { type AnyObject, readPolicy } from '../policy/policies.ts';
import { clusterPolicyResources } from '../policy/resources.ts';
import { PolicyStatusWriter } from '../policy/status-writer.ts';
import { type Context, controller, type Running } from './context.ts';

/** Says on every policy whether podnet understands it: NP19, CNP10. */
export function policyStatusController(context: Context): Running {
  const { api, informers, now } = context;
  const kinds = [NetworkPolicies as Resource<KubeObject>, ...clusterPolicyResources].map((resource) => ({
    resource,
    cache: informers.of(resource),
  }));
  // A server without the definitions of the others never fills their caches; nothing waits for them.
  const running = controller(context, { name: 'policy-status', informers: [kinds[0]!.cache], work: sync });
  const writer = new PolicyStatusWriter(api, running.events, now);
  /** By what the queue knows them by. */
  const limited = new LimitedPolicies();

  /** @param key the plural of the resource, a space, the key of the object */
  async function sync(key: string): Promise<void> {
    const [plural, objectKey = ''] = key.split(' ');
    const { resource, cache } = kinds.find((one) => one.resource.plural === plural)!;
    const object = cache.get(objectKey);
    if (object) await writer.write(resource, object, limited.problemsOf(key));
  }

  const offs = kinds.map(({ resource, cache }) =>
    cache.onChange((changes) => {
      for (const { type, key, object } of changes) {
        const known: AnyObject = { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
        limited.set(`${resource.plural} ${key}`, type === 'deleted' ? undefined : readPolicy(known));
        if (type === 'deleted') writer.forget(object);
        else running.queue.add(`${resource.plural} ${key}`);
      }
      // Of others of the namespace something else may be left now.
      for (const key of limited.settle()) running.queue.add(key);
    }),
  );
  return {
    ready: running.ready,
    stop() {
      for (const off of offs) off();
      running.stop();
    },
  };
}
