/** Versions of the CNI specification that podnet speaks, oldest first (CNI11). */
export const supportedVersions = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

export type CniVersion = (typeof supportedVersions)[number];

export const isSupported = (version: string): version is CniVersion => supportedVersions.some((v) => v === version);

/** Whether `version` is at least `other`, both supported. */
export const atLeast = (version: CniVersion, other: CniVersion): boolean =>
  supportedVersions.indexOf(version) >= supportedVersions.indexOf(other);
