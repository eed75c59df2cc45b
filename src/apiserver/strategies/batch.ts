import { jsonEqual } from '../../kube/objects.ts';
import type { CronJob, Job, JobSpec } from '../../kube/types.ts';
import { strategy } from '../registry/strategy.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { defaultTemplate, validateTemplate } from './workloads.ts';

function defaultJob(spec: JobSpec): void {
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= 6;
  spec.completionMode ??= 'NonIndexed';
  spec.suspend ??= false;
  spec.podReplacementPolicy ??= spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed';
  defaultTemplate(spec.template);
}

function validateJob(spec: JobSpec | undefined, path: string, errors: FieldErrors): void {
  for (const name of ['parallelism', 'completions', 'backoffLimit', 'activeDeadlineSeconds', 'ttlSecondsAfterFinished'] as const)
    if ((spec?.[name] ?? 0) < 0) errors.invalid(`${path}.${name}`, spec?.[name], 'must be greater than or equal to 0');
  if (spec?.completionMode === 'Indexed' && spec.completions === undefined)
    errors.required(`${path}.completions`, 'when completion mode is Indexed');
  const restart = spec?.template?.spec?.restartPolicy;
  if (spec?.template?.spec?.containers?.length && restart === 'Always')
    errors.required(`${path}.template.spec.restartPolicy`, 'valid values: "OnFailure", "Never"');
  validateTemplate(spec?.template, `${path}.template`, errors);
}

/** A Job's pods are found by its UID, which users cannot know: the selector is made for them. */
const generated = ['batch.kubernetes.io/controller-uid', 'batch.kubernetes.io/job-name', 'controller-uid', 'job-name'] as const;

const notRun = (): string[] => ['podnet does not run Jobs and CronJobs yet: this one is stored, and no pod is made for it'];

export const jobs = strategy<Job>({
  generation: true,
  warnings: notRun,
  initialStatus: {},
  defaults({ spec }) {
    if (spec) defaultJob(spec);
  },
  prepareCreate(job) {
    const { spec, metadata } = job;
    if (!spec?.template || spec.manualSelector) return;
    const [uid, name] = [metadata.uid!, metadata.name];
    const labels = { [generated[0]]: uid, [generated[1]]: name, [generated[2]]: uid, [generated[3]]: name };
    spec.template.metadata = {
      ...spec.template.metadata,
      labels: { ...spec.template.metadata?.labels, ...labels },
    } as typeof metadata;
    spec.selector = { matchLabels: { [generated[0]]: uid } };
  },
  validate({ spec }, errors) {
    validateJob(spec, 'spec', errors);
    if (!spec?.selector) errors.required('spec.selector');
  },
  validateUpdate({ spec }, { spec: old }, errors) {
    if (!spec || !old) return;
    for (const name of ['completions', 'selector', 'template', 'completionMode'] as const) {
      const suspended = name === 'template' && old.suspend;
      if (!suspended && !jsonEqual(spec[name], old[name]))
        errors.invalid(`spec.${name}`, spec[name] ?? null, 'field is immutable');
    }
  },
});

const field = String.raw`(\*|\d+|[A-Za-z]{3})(-(\d+|[A-Za-z]{3}))?(\/\d+)?`;
const schedule = new RegExp(
  String.raw`^(TZ=\S+ +|CRON_TZ=\S+ +)?((${field}(,${field})*|\?) *){5}$|^@(yearly|annually|monthly|weekly|daily|midnight|hourly|every .+)$`,
);

export const cronJobs = strategy<CronJob>({
  warnings: notRun,
  generation: true,
  initialStatus: {},
  defaults({ spec }) {
    if (!spec) return;
    spec.concurrencyPolicy ||= 'Allow';
    spec.suspend ??= false;
    spec.successfulJobsHistoryLimit ??= 3;
    spec.failedJobsHistoryLimit ??= 1;
    if (spec.jobTemplate?.spec) defaultTemplate(spec.jobTemplate.spec.template);
  },
  validate({ spec, metadata }, errors) {
    if (!spec?.schedule) errors.required('spec.schedule');
    else if (!schedule.test(spec.schedule.trim()))
      errors.invalid(
        'spec.schedule',
        spec.schedule,
        `expected exactly 5 fields, found ${spec.schedule.trim().split(/ +/).length}: [${spec.schedule.trim().split(/ +/).join(' ')}]`,
      );
    if (metadata.name.length > 52) errors.invalid('metadata.name', metadata.name, 'must be no more than 52 characters');
    validateJob(spec?.jobTemplate?.spec, 'spec.jobTemplate.spec', errors);
  },
});
