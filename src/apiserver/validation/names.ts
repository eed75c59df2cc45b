// The texts are those of apimachinery's util/validation.

const regexHint = (message: string, format: string, ...examples: string[]): string =>
  `${message} (${examples.length > 0 ? `e.g. ${examples.map((example) => `'${example}'`).join(', or ')}, ` : ''}regex used for validation is '${format}')`;

const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const qualified = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';

type Check = (value: string) => string[];

const check =
  (most: number, format: string, message: string): Check =>
  (value) => {
    const faults: string[] = [];
    if (value.length > most) faults.push(`must be no more than ${most} ${most === 15 ? 'characters' : 'bytes'}`);
    if (!new RegExp(`^${format}$`).test(value)) faults.push(message);
    return faults;
  };

export const isDns1123Label: Check = check(
  63,
  label,
  regexHint(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
    label,
    'my-name',
    '123-abc',
  ),
);

const subdomain = `${label}(\\.${label})*`;
export const isDns1123Subdomain: Check = check(
  253,
  subdomain,
  regexHint(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
    subdomain,
    'example.com',
  ),
);


export const isWildcardDns1123Subdomain: Check = check(
  253,
  `\\*\\.${subdomain}`,
  regexHint(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    `\\*\\.${subdomain}`,
    '*.example.com',
  ),
);

const qualifiedMessage = regexHint(
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  qualified,
  'MyName',
  'my.name',
  '123-abc',
);

export function isQualifiedName(value: string): string[] {
  const parts = value.split('/');
  const faults: string[] = [];
  let name = value;
  if (parts.length === 2) {
    name = parts[1]!;
    if (parts[0] === '') faults.push('prefix part must be non-empty');
    else faults.push(...isDns1123Subdomain(parts[0]!).map((fault) => `prefix part ${fault}`));
  } else if (parts.length > 2) {
    return [
      `a qualified name ${regexHint("must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character", qualified, 'MyName', 'my.name', '123-abc')} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  if (name === '') faults.push('name part must be non-empty');
  else if (name.length > 63) faults.push('name part must be no more than 63 bytes');
  if (!new RegExp(`^${qualified}$`).test(name)) faults.push(qualifiedMessage);
  return faults;
}

const labelValue = `(${qualified})?`;
export const isLabelValue: Check = check(
  63,
  labelValue,
  regexHint(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    labelValue,
    'MyValue',
    'my_value',
    '12345',
  ),
);

export const isConfigMapKey = (value: string): string[] => {
  const format = '[-._a-zA-Z0-9]+';
  const faults: string[] = [];
  if (value.length > 253) faults.push('must be no more than 253 bytes');
  if (!new RegExp(`^${format}$`).test(value))
    faults.push(
      regexHint(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        format,
        'key.name',
        'KEY_NAME',
        'key-name',
      ),
    );
  if (value === '.') faults.push("must not be '.'");
  else if (value.startsWith('..')) faults.push(value === '..' ? "must not be '..'" : "must not start with '..'");
  return faults;
};

export const isEnvVarName = (value: string): string[] => {
  // Relaxed since 1.34: any printable ASCII but '='.
  const faults: string[] = [];
  if (!/^[ -<>-~]+$/.test(value))
    faults.push(
      regexHint("a valid environment variable name must consist only of printable ASCII characters other than '='", '[ -<>-~]+'),
    );
  return faults;
};

/** A port's name: IANA_SVC_NAME. */
export function isPortName(value: string): string[] {
  const faults: string[] = [];
  if (value.length > 15) faults.push('must be no more than 15 characters');
  if (!/^[-a-z0-9]*$/.test(value)) faults.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(value)) faults.push('must contain at least one letter (a-z)');
  if (value.includes('--')) faults.push('must not contain consecutive hyphens');
  if (value.startsWith('-') || value.endsWith('-')) faults.push('must not begin or end with a hyphen');
  return faults;
}

export const inRange = (low: number, high: number): string => `must be between ${low} and ${high}, inclusive`;
export const isPort = (value: number): string[] => (value >= 1 && value <= 65535 ? [] : [inRange(1, 65535)]);
