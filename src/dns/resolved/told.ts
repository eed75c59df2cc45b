import { IpAddr } from '../../net/ip.ts';
import { type Answer, messageOf } from '../forward/answer.ts';
import { rrType } from '../wire/constants.ts';
import { dataOf, ownerOf, targetOf } from '../wire/message.ts';
import { formatName, lowerName, type WireName } from '../wire/names.ts';

/** What an answer says of addresses: the asked name and each alias on the way to them. */
export interface Told {
  names: string[];
  addresses: IpAddr[];
}

const textOf = (name: WireName): string => formatName(lowerName(name)).slice(0, -1);

/** @returns undefined when it gives no address */
export function toldBy(answer: Answer): Told | undefined {
  if ((answer.type !== rrType.A && answer.type !== rrType.AAAA) || answer.negative || answer.answers === 0 || answer.own) return undefined;
  const message = messageOf(answer);
  const names = new Set([textOf(answer.name)]);
  const addresses: IpAddr[] = [];
  for (const record of message.records) {
    if (record.section !== 'answer') continue;
    if (record.type === rrType.CNAME) {
      names.add(textOf(ownerOf(message, record)));
      names.add(textOf(targetOf(message, record)));
    } else if (record.type === answer.type) addresses.push(IpAddr.fromBytes(Buffer.from(dataOf(message, record), 'latin1')));
  }
  return addresses.length === 0 ? undefined : { names: [...names], addresses };
}
