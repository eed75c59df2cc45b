import { type Ends, endpointText, whoAmI, whoAmIText } from './identity.ts';
import type { Owner } from './owner.ts';

export interface Page {
  contentType: string;
  body: string;
}

const text = (body: string): Page => ({ contentType: 'text/plain; charset=utf-8', body });

/** What a stand-in answers to a GET of any path, by whatever version of HTTP. */
export function page({ spec }: Owner, target: string, accept: string, ends: Ends): Page {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1));
  if (path === '/hostname') return text(spec.hostname);
  if (path === '/clientip') return text(endpointText(ends.clientAddress, ends.clientPort));
  if (path === '/echo') return text(query.get('msg') ?? '');
  if (query.get('format') === 'json' || accept.includes('application/json')) {
    return { contentType: 'application/json', body: `${JSON.stringify({ ...whoAmI(spec, ends), path }, null, 2)}\n` };
  }
  return text(whoAmIText(spec, ends));
}
