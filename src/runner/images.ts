import { existsSync } from 'node:fs';
import type { ImageMapping } from './config.ts';

/** Of Debian's busybox-static; also what `kubectl exec` runs in a stand-in. */
export const busybox = '/bin/busybox';
/** What the lab knows to run by itself, after the user's own mappings. */
const builtIn: readonly ImageMapping[] = [{ image: 'busybox', busybox, command: ['sh'] }];

export type ImageChoice = { kind: 'process'; mapping: ImageMapping } | { kind: 'stand-in'; message: string };

/** The image's name without digest, tag and the registries that stand for Docker Hub. */
export function familiarName(image: string): string {
  const name = image.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
  return name.replace(/^(index\.)?docker\.io\//, '').replace(/^library\//, '');
}

/** `*` stands for any characters; a pattern without registry, tag or digest matches images with them. */
export function matchesImage(pattern: string, image: string): boolean {
  const name = familiarName(image);
  const expression = new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*')}$`);
  return [image, image.replace(/@.*$/, ''), name, name.slice(name.lastIndexOf('/') + 1)].some((text) => expression.test(text));
}

/** What runs for an image: the first mapping that matches, else a stand-in, with words for the user that say why and what to do. */
export function chooseImage(
  image: string,
  mappings: readonly ImageMapping[],
  exists: (path: string) => boolean = existsSync,
): ImageChoice {
  const mapping = [...mappings, ...builtIn].find((one) => matchesImage(one.image, image));
  const source = mapping?.busybox ?? mapping?.rootfs;
  if (mapping && source !== undefined && exists(source)) return { kind: 'process', mapping };
  const what = `a stand-in runs for image "${image}": it answers the declared ports and probes, the image's program does not run`;
  if (mapping?.busybox === busybox)
    return { kind: 'stand-in', message: `${what}. ${busybox} is missing: apt-get install busybox-static` };
  if (source !== undefined) return { kind: 'stand-in', message: `${what}. Its mapping names ${source}, which does not exist` };
  return {
    kind: 'stand-in',
    message: `${what}. To run something real, map the image in the lab's configuration: images: [{ image: "${familiarName(image)}", rootfs: DIRECTORY }]`,
  };
}
