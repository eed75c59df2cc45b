import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { AnyObject } from '../policies.ts';
import { namespace, pod } from './objects.ts';

/** A file with the policies of each recipe. */
export const recipesFolder = join(import.meta.dirname, '..', '..', '..', 'src', 'policy', 'testkit', 'data');

/** The policies of a recipe; `document` picks one where a recipe goes in steps. What has no namespace is applied in `default`. */
export function recipePolicies(number: string, document?: number): AnyObject[] {
  const file = readdirSync(recipesFolder).find((name) => name.startsWith(`${number}-`))!;
  const all = parseAllDocuments(readFileSync(join(recipesFolder, file), 'utf8')).map((one) => one.toJS() as AnyObject);
  return document === undefined ? all : [all[document]!];
}

/** Somebody who is no pod. */
const outside = '203.0.113.5';

/** One of ahmetb/kubernetes-network-policy-recipes, with what it is meant to do. */
export interface Recipe {
  number: string;
  document?: number;
  intent: string;
  /** Policies of other recipes that it stands on. */
  with?: string[];
  pods: AnyObject[];
  /** Ends are keys of pods, or addresses; a port is `TCP 80` unless it is told. */
  open?: readonly (readonly [from: string, to: string, port?: string])[];
  closed?: readonly (readonly [from: string, to: string, port?: string])[];
}

const web = pod('web', '10.0.0.1', { app: 'web' });
const client = pod('client', '10.0.0.2', { app: 'client' });
/** Stands for cluster DNS. */
export const dns = pod('kube-system/dns', '10.0.5.1', { 'k8s-app': 'kube-dns' });
const bookstore = (role: string, ip: string): AnyObject => pod(role, ip, { app: 'bookstore', role });
const foo = pod('foo', '10.0.0.3', { app: 'foo' });
export const recipeNamespaces = [
  namespace('default'),
  namespace('kube-system'),
  namespace('dev', { purpose: 'testing' }),
  namespace('prod', { purpose: 'production' }),
  namespace('ops', { team: 'operations' }),
];

export const recipes: readonly Recipe[] = [
  {
    number: '01',
    intent: 'drops all traffic to the pods of an application, from wherever; others are as before',
    pods: [web, client],
    closed: [
      ['client', 'web'],
      ['client', 'web', 'UDP 53'],
      [outside, 'web'],
      ['kube-system/dns', 'web'],
    ],
    open: [
      ['web', 'client'],
      ['client', outside],
    ],
  },
  {
    number: '02',
    intent: 'allows traffic to an API only from pods of the same application',
    pods: [
      bookstore('api', '10.0.1.1'),
      bookstore('frontend', '10.0.1.2'),
      client,
      pod('dev/frontend', '10.0.3.1', { app: 'bookstore' }),
    ],
    open: [
      ['frontend', 'api'],
      ['client', 'frontend'],
    ],
    closed: [
      ['client', 'api'],
      ['dev/frontend', 'api'],
      [outside, 'api'],
    ],
  },
  {
    number: '02a',
    intent: 'allows all traffic to an application, whatever else denies it',
    with: ['01', '03'],
    pods: [web, client],
    open: [
      ['client', 'web'],
      ['kube-system/dns', 'web', 'UDP 1'],
      [outside, 'web'],
    ],
    closed: [['web', 'client']],
  },
  {
    number: '03',
    intent: 'denies all traffic into a namespace that no other policy allows',
    pods: [web, client, pod('dev/x', '10.0.3.1')],
    closed: [
      ['client', 'web'],
      ['web', 'client'],
      ['dev/x', 'web'],
      [outside, 'client'],
    ],
    open: [
      ['web', 'dev/x'],
      ['client', outside],
    ],
  },
  {
    number: '04',
    intent: 'denies all traffic from other namespaces, allows all of the own',
    pods: [web, client, pod('dev/x', '10.0.3.1')],
    open: [
      ['client', 'web'],
      ['web', 'dev/x'],
    ],
    closed: [
      ['dev/x', 'web'],
      ['kube-system/dns', 'client'],
      [outside, 'web'],
    ],
  },
  {
    number: '05',
    intent: 'allows traffic to an application from all pods of all namespaces, but not from outside',
    with: ['03'],
    pods: [web, client, pod('dev/x', '10.0.3.1')],
    open: [
      ['client', 'web'],
      ['dev/x', 'web'],
    ],
    closed: [
      [outside, 'web'],
      ['dev/x', 'client'],
    ],
  },
  {
    number: '06',
    intent: 'allows traffic to an application only from namespaces of a purpose',
    pods: [web, client, pod('prod/x', '10.0.2.1'), pod('dev/x', '10.0.3.1')],
    open: [['prod/x', 'web']],
    closed: [
      ['dev/x', 'web'],
      ['client', 'web'],
      [outside, 'web'],
    ],
  },
  {
    number: '07',
    intent: 'allows traffic only from some pods of another namespace: both selectors in one item',
    pods: [
      web,
      pod('ops/m', '10.0.4.1', { type: 'monitoring' }),
      pod('ops/x', '10.0.4.2'),
      pod('dev/m', '10.0.3.1', { type: 'monitoring' }),
    ],
    open: [['ops/m', 'web']],
    closed: [
      ['ops/x', 'web'],
      ['dev/m', 'web'],
      [outside, 'web'],
    ],
  },
  {
    number: '08',
    intent: 'allows traffic from outside to an application',
    with: ['03'],
    pods: [web, client],
    open: [
      [outside, 'web'],
      ['2001:db8::1', 'web'],
      ['client', 'web'],
    ],
    closed: [[outside, 'client']],
  },
  {
    number: '09',
    intent: 'allows traffic to one port of an application only, from its monitoring',
    pods: [pod('api', '10.0.0.1', { app: 'apiserver' }), pod('mon', '10.0.0.9', { role: 'monitoring' }), client],
    open: [['mon', 'api', 'TCP 5000']],
    closed: [
      ['mon', 'api', 'TCP 8000'],
      ['mon', 'api', 'UDP 5000'],
      ['client', 'api', 'TCP 5000'],
    ],
  },
  {
    number: '10',
    intent: 'allows traffic from several applications: items of a list are OR, labels of a selector AND',
    pods: [
      ...[
        bookstore('db', '10.0.1.1'),
        bookstore('search', '10.0.1.2'),
        bookstore('api', '10.0.1.3'),
        bookstore('cart', '10.0.1.4'),
      ],
      ...[pod('inv', '10.0.1.5', { app: 'inventory', role: 'web' }), pod('other', '10.0.1.6', { app: 'inventory', role: 'db' })],
    ],
    open: [
      ['search', 'db'],
      ['api', 'db'],
      ['inv', 'db'],
    ],
    closed: [
      ['cart', 'db'],
      ['other', 'db'],
    ],
  },
  {
    number: '11',
    document: 0,
    intent: 'denies all traffic out of an application, DNS too; into it all goes on',
    pods: [foo, web, dns],
    closed: [
      ['foo', 'web'],
      ['foo', outside, 'TCP 443'],
      ['foo', 'kube-system/dns', 'UDP 53'],
    ],
    open: [
      ['web', 'foo'],
      ['web', 'kube-system/dns', 'UDP 53'],
    ],
  },
  {
    number: '11',
    document: 1,
    intent: 'with DNS allowed: by UDP and TCP to the pods of kube-dns alone, and nothing else of them',
    pods: [foo, web, dns],
    open: [
      ['foo', 'kube-system/dns', 'UDP 53'],
      ['foo', 'kube-system/dns', 'TCP 53'],
    ],
    closed: [
      ['foo', 'kube-system/dns', 'TCP 8080'],
      ['foo', 'web'],
      ['foo', outside, 'UDP 53'],
    ],
  },
  {
    number: '12',
    intent: 'denies all traffic out of a namespace that no other policy allows',
    pods: [web, client, dns, pod('dev/x', '10.0.3.1')],
    closed: [
      ['web', 'client'],
      ['client', outside],
      ['web', 'kube-system/dns', 'UDP 53'],
      ['web', 'dev/x'],
    ],
    open: [
      ['dev/x', 'web'],
      ['dev/x', outside],
    ],
  },
  {
    number: '14',
    intent: 'denies all traffic of an application to the outside, and leaves DNS; as it is written, no other pod either',
    pods: [foo, web, dns],
    open: [
      ['foo', 'kube-system/dns', 'UDP 53'],
      ['foo', 'kube-system/dns', 'TCP 53'],
      ['web', outside],
    ],
    closed: [
      ['foo', outside, 'TCP 443'],
      ['foo', outside, 'UDP 53'],
      ['foo', 'web'],
    ],
  },
];
