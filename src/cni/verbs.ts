import { requestedVersion } from './config.ts';
import { type Envelope, parseEnvelope, type Reply } from './envelope.ts';
import { CniError, cniCode } from './errors.ts';
import { loopbackType, performLoopback } from './loopback.ts';
import { type AttachmentKey, commandOf, type PodIdentity, parseRequest, type Request } from './request.ts';
import { formatResult, mergeResults, type Result } from './result.ts';
import { isSupported, supportedVersions } from './version.ts';
import type { Wishes } from './wishes.ts';

/**
 * What the verbs need of the node. Every method throws CniError with what the runtime shall see. Calls for different attachments run in any
 * order and at the same time; calls for one attachment come one after the other.
 */
export interface Attachments {
  /** Attaches the container. Leaves nothing behind when it fails. */
  add(key: AttachmentKey, netns: string, pod: PodIdentity, wishes: Wishes): Promise<Result> | Result;
  /** Undoes `add`. What is not there is success (CNI6). */
  delete(key: AttachmentKey, netns: string | undefined): Promise<void> | void;
  /** Compares the attachment with what ADD answered. @param expected podnet's own part and perhaps more of the chain */
  check(key: AttachmentKey, netns: string, expected: Result): Promise<void> | void;
  /** Throws when `add` could not be served (CNI9). */
  status(network: string): Promise<void> | void;
  /** Deletes every attachment of the network but these; goes on after an error and throws at the end (CNI10). */
  collect(network: string, valid: readonly AttachmentKey[]): Promise<void> | void;
}

/** One call of the CNI executable, from the bytes it sent to the answer. Never throws. */
export async function answer(bytes: Buffer, attachments: Attachments): Promise<Reply> {
  let envelope: Envelope | undefined;
  try {
    envelope = parseEnvelope(bytes);
    const command = commandOf(envelope.env);
    if (command === 'VERSION') return success(versions(envelope.stdin));
    return success(await perform(parseRequest(command, envelope), attachments));
  } catch (error) {
    const { code, message, details } = CniError.from(error);
    const asked = envelope && requestedVersion(envelope.stdin);
    const cniVersion = asked && isSupported(asked) ? asked : '1.0.0';
    return { exitCode: 1, stdout: `${JSON.stringify({ cniVersion, code, msg: message, details })}\n` };
  }
}

async function perform(request: Request, attachments: Attachments): Promise<unknown> {
  const { config } = request;
  if (config.type === loopbackType) {
    const result = performLoopback(request);
    return result && formatResult(result, config.cniVersion);
  }
  switch (request.command) {
    case 'ADD': {
      const own = await attachments.add(request.key, request.netns, request.pod, config.wishes);
      // What the runtime says for this pod goes before what the network says for all.
      const result = { ...own, dns: config.wishes.dns ?? config.dns ?? own.dns };
      return formatResult(config.prevResult ? mergeResults(config.prevResult, result) : result, config.cniVersion);
    }
    case 'DEL':
      if (request.key) await attachments.delete(request.key, request.netns);
      return;
    case 'CHECK':
      if (!config.prevResult) throw new CniError(cniCode.invalidConfig, 'prevResult is missing: CHECK compares with it');
      return void (await attachments.check(request.key, request.netns, config.prevResult));
    case 'STATUS':
      return void (await attachments.status(config.name));
    case 'GC':
      return void (await attachments.collect(
        config.name,
        config.validAttachments.map((valid) => ({ network: config.name, ...valid })),
      ));
  }
}

/** In the version that was asked for, whatever it is: a runtime asks this to find out. */
const versions = (stdin: Buffer): unknown => ({
  cniVersion: requestedVersion(stdin) ?? supportedVersions.at(-1),
  supportedVersions,
});

const success = (result: unknown): Reply => ({ exitCode: 0, stdout: result === undefined ? '' : `${JSON.stringify(result)}\n` });
