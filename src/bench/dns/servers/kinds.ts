import { type Kind, kindNames } from '../questions.ts';

/** What a server of the cluster's names answers, and nothing else. */
export const clusterKinds: readonly Kind[] = kindNames.filter((kind) => kind !== 'forward');
