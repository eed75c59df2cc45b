import { numberOf, secondsOf, type Translator } from './translation.ts';

/** `cache [TTL] [ZONES…] { success CAPACITY [TTL] [MINTTL] | denial … | prefetch … | serve_stale [DURATION] | servfail DURATION | disable … }` */
export const cache: Translator = (directive, to, { domain }) => {
  if (domain !== undefined) return to.note(directive, `one cache with one setting is for all names, not another one for ${domain}`);
  const [, ttlText, ...zones] = directive.words;
  const ttl = numberOf(ttlText, 0, 604_800);
  const all = (to.upstream.cache ??= {});
  if (ttl !== undefined) {
    all.maxTtl = ttl;
    all.maxNegativeTtl = Math.min(ttl, 86_400);
  } else all.maxNegativeTtl = 1800;
  if (zones.length > 0 || (ttl === undefined && ttlText !== undefined)) to.note(directive, 'answers of resolvers are kept for all zones; those of the cluster need no cache');
  for (const line of directive.block) {
    const [name = '', capacity, most, least] = line.words;
    if (name === 'success' || name === 'denial') {
      if (numberOf(capacity) !== undefined) to.note(line, `${capacity} answers: the cache is bounded by bytes (upstream.cache.bytes)`);
      const [max, min] = [numberOf(most, 0, 604_800), numberOf(least, 0, 3600)];
      if (max !== undefined && name === 'success') all.maxTtl = max;
      if (max !== undefined && name === 'denial') all.maxNegativeTtl = Math.min(max, 86_400);
      if (min !== undefined && name === 'success') all.minTtl = min;
      if (min !== undefined && name === 'denial') to.note(line, 'there is no least time of absences');
    } else if (name === 'serve_stale') {
      const seconds = capacity === undefined ? 3600 : secondsOf(capacity);
      if (seconds === undefined) to.note(line, `"${capacity}" is no duration`);
      else all.staleSeconds = Math.min(Math.round(seconds), 604_800);
      if (most !== 'verified') to.note(line, 'a stale answer is given when no resolver answers in time (as with "verified"), not at once');
    } else if (name === 'prefetch') to.note(line, 'names that are asked for often are fetched anew in the last tenth of their time; how often is not a setting');
    // Those of the cluster are kept by no cache anyway.
    else if (name !== 'disable' || line.words.slice(2).some((zone) => zone.replace(/\.$/, '') !== (to.config.zone ?? 'cluster.local')))
      to.note(line, `"${name}" has no counterpart`);
  }
};
