import { formatSelector, fromLabelSelector, type Requirement } from '../../kube/selectors.ts';
import type { LabelSelector, PodSpec } from '../../kube/types.ts';
import type { StoredObject } from '../object.ts';
import { age } from './duration.ts';

/** What a printer may look at besides the object. */
export interface Printing {
  nowMs: number;
}

export type Cell = string | number | boolean | null;

export interface Column<T> {
  name: string;
  type: 'string' | 'integer' | 'boolean' | 'date';
  format: string;
  /** 0: always, 1: only in wide output */
  priority: number;
  cell(object: T, printing: Printing): Cell;
}

/** A row's condition, by which `kubectl get` can tell finished pods. */
export interface RowCondition {
  type: string;
  status: string;
  reason: string;
  message: string;
}

export interface Printer<T = StoredObject> {
  columns: readonly Column<T>[];
  conditions?(object: T): RowCondition[] | undefined;
}

type Named = { metadata: { name: string; creationTimestamp?: string } };

export const none = '<none>';

const column =
  (type: Column<unknown>['type'], priority: number) =>
  <T>(name: string, cell: Column<T>['cell']): Column<T> => ({ name, type, format: '', priority, cell });
export const text = column('string', 0);
export const integer = column('integer', 0);
export const wideText = column('string', 1);

export const nameColumn = <T extends Named>(cell: Column<T>['cell'] = ({ metadata }) => metadata.name): Column<T> => ({
  ...text('Name', cell),
  format: 'name',
});
export const ageColumn = <T extends Named>(): Column<T> =>
  text('Age', ({ metadata }, { nowMs }) => age(metadata.creationTimestamp, nowMs));
export const createdColumn = <T extends Named>(): Column<T> => ({
  ...text('Created At', ({ metadata }) => metadata.creationTimestamp ?? ''),
  type: 'date',
});

/** Name, the columns given, and nothing else. */
export const printer = <T extends Named>(columns: Column<T>[], conditions?: Printer<T>['conditions']): Printer =>
  ({ columns: [nameColumn<T>(), ...columns], conditions }) as unknown as Printer;

export const list = (values: readonly (string | undefined)[] | undefined, empty = none): string =>
  values?.length ? values.join(',') : empty;

/** `a=b,c=d`, sorted. */
export const labelsText = (labels: Record<string, string> | undefined): string =>
  list(
    Object.entries(labels ?? {})
      .map(([name, value]) => `${name}=${value}`)
      .sort(),
  );

/** metav1.FormatLabelSelector */
export function selectorText(selector: LabelSelector | undefined): string {
  try {
    const requirements: Requirement[] = [...(fromLabelSelector(selector) ?? [])];
    requirements.sort((a, b) => (a.key < b.key ? -1 : 1));
    return formatSelector(requirements) || none;
  } catch {
    return '<error>';
  }
}

/** The first three, and how many more there are. */
export function firstThree(values: readonly string[], empty: string): string {
  if (values.length === 0) return empty;
  const shown = values.slice(0, 3).join(',');
  return values.length > 3 ? `${shown} + ${values.length - 3} more...` : shown;
}

interface Templated {
  spec?: { template?: { spec?: PodSpec } };
}
export const containerColumns = <T extends Templated>(): Column<T>[] => [
  wideText('Containers', ({ spec }) =>
    list(
      spec?.template?.spec?.containers?.map(({ name }) => name),
      '',
    ),
  ),
  wideText('Images', ({ spec }) =>
    list(
      spec?.template?.spec?.containers?.map(({ image }) => image),
      '',
    ),
  ),
];

export const selectorColumn = <T extends { spec?: { selector?: LabelSelector } }>(): Column<T> =>
  wideText('Selector', ({ spec }) => selectorText(spec?.selector));
