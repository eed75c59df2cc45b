import type { Size } from '../objects.ts';

/** Larger ones are left out: one transaction would be more than a netlink socket sends. */
const mostEndpoints = 500_000;

export const serviceCounts = [100, 1000, 10_000, 50_000] as const;
const endpointCounts = [1, 10, 100] as const;

export const sizeName = ({ services, endpoints }: Size): string =>
  `${services.toLocaleString('en')} Services, ${endpoints.toLocaleString('en')} endpoints`;

/** What is measured, smallest first, and what is not. @param most Services */
export function sizesUpTo(most: number): { sizes: Size[]; skipped: Size[] } {
  const all = endpointCounts.flatMap((each) => serviceCounts.map((services) => ({ services, endpoints: services * each })));
  const fits = ({ services, endpoints }: Size): boolean => services <= most && endpoints <= mostEndpoints;
  return { sizes: all.filter(fits), skipped: all.filter((size) => !fits(size)) };
}

/** Whose load is judged: it is made three times, at times of its own, and the middle one counts. */
export const isJudged = ({ services, endpoints }: Size): boolean => services === 10_000 && endpoints === 100_000;

/** Whose changes are compared: all of ten endpoints for each Service. */
export const comparedSizes = (most: number): Size[] =>
  serviceCounts.filter((services) => services <= most).map((services) => ({ services, endpoints: services * 10 }));

/** As users report them to be slow: github.com/kubernetes/kubernetes issues of kube-proxy. */
export const reportedSizes = (most: number): Size[] =>
  [
    { services: 5006, endpoints: 250_011 },
    { services: 44_128, endpoints: 88_256 },
  ].filter(({ services }) => services <= most);
