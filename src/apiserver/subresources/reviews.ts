import type {
  SelfSubjectAccessReview,
  SelfSubjectRulesReview,
  SubjectAccessReview,
  SubjectAccessReviewSpec,
} from '../../kube/types.ts';
import { type Action, type Authorizer, refusal } from '../auth/authorize.ts';
import type { User } from '../auth/user.ts';
import { badRequest } from '../errors.ts';
import { as, type StoredObject } from '../object.ts';

/** Answers the reviews: objects that are asked and never stored. */
export function review(object: StoredObject, user: User, authorizer: Authorizer): StoredObject {
  switch (object.kind) {
    case 'SelfSubjectReview':
      return { ...object, status: { userInfo: { username: user.name, uid: user.uid, groups: user.groups, extra: user.extra } } };
    case 'SelfSubjectAccessReview':
      return { ...object, status: access(as<SelfSubjectAccessReview>(object).spec, user, authorizer) };
    case 'SubjectAccessReview': {
      const { spec } = as<SubjectAccessReview>(object);
      if (!spec.user && !spec.groups?.length) throw badRequest('spec.user: at least one of user or group must be specified');
      return { ...object, status: access(spec, { name: spec.user ?? '', groups: spec.groups ?? [] }, authorizer) };
    }
    case 'SelfSubjectRulesReview': {
      const { namespace } = as<SelfSubjectRulesReview>(object).spec;
      if (!namespace) throw badRequest('no namespace on request');
      const rules = authorizer.rulesFor(user, namespace);
      return {
        ...object,
        status: {
          resourceRules: rules
            .filter(({ resources }) => resources?.length)
            .map(({ verbs, apiGroups, resources, resourceNames }) => ({ verbs, apiGroups, resources, resourceNames })),
          nonResourceRules: rules
            .filter((rule) => rule.nonResourceURLs?.length)
            .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
          incomplete: false,
        },
      };
    }
    default:
      throw badRequest(`${object.kind} is no review`);
  }
}

function access(
  spec: Pick<SubjectAccessReviewSpec, 'resourceAttributes' | 'nonResourceAttributes'>,
  user: User,
  authorizer: Authorizer,
) {
  const { resourceAttributes: of, nonResourceAttributes: path } = spec;
  const action: Action = of
    ? {
        verb: of.verb ?? '',
        group: of.group ?? '',
        resource: of.resource ?? '',
        ...(of.subresource && { subresource: of.subresource }),
        ...(of.namespace && { namespace: of.namespace }),
        ...(of.name && { name: of.name }),
      }
    : { verb: path?.verb ?? '', path: path?.path ?? '' };
  const allowed = authorizer.allows(user, action);
  return allowed ? { allowed, reason: '' } : { allowed, reason: refusal(user, action) };
}
