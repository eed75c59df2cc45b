/** The Kubernetes release whose API the types and the lab's server follow. */
export const kubernetesVersion = { major: '1', minor: '36', full: 'v1.36.0' } as const;
