/** What may stand in mcnet.yaml. Flags and environment go through the same schema. */
import { z } from 'zod';
import { type IpFamily, parseCidr } from '../model/cidr.ts';
import { messageOf } from '../model/errors.ts';
import { CLUSTER_NAME, RUN_ID } from '../model/ids.ts';
import { parseDuration } from './duration.ts';
import { type ChoiceKey, knownNames } from './names.ts';

/** The plan has blocks for more, but nobody has shown that more come up. */
const MAXIMUM_CLUSTERS = 100;

const choice = <K extends ChoiceKey>(key: K) => z.enum(knownNames(key));

const text = z.string().min(1, { error: 'must not be empty' });

/** One value or a list of them. */
const listOf = <T extends z.ZodType>(item: T) =>
  z.union([item.transform((value) => [value]), z.array(item)], {
    error: 'must be a text or a list of texts',
  });

const clusterName = z.string().regex(CLUSTER_NAME, {
  error: ({ input }) =>
    `"${input}" cannot be a cluster's name: lower-case letters, digits and hyphens, a letter first, 20 at most`,
});

const cidr = z.string().superRefine((value, context) => {
  try {
    parseCidr(value);
  } catch (error) {
    context.addIssue({ code: 'custom', message: messageOf(error) });
  }
});

/** A range, or one of each family. */
const ranges = listOf(cidr).transform((values, context) => {
  const families: { [family in IpFamily]?: string } = {};
  for (const value of values) {
    const { family } = parseCidr(value);
    if (families[family] !== undefined) {
      context.addIssue({
        code: 'custom',
        message: `has two ${family} ranges; one of each family is possible`,
      });
    }
    families[family] = value;
  }
  return families;
});

const clusterEntry = z.strictObject({
  name: clusterName,
  segments: listOf(text).optional(),
  pods: ranges.optional(),
  services: ranges.optional(),
  nodes: ranges.optional(),
  context: text.optional(),
});

export type ClusterEntry = { readonly name: string } & Partial<z.output<typeof clusterEntry>>;
const clusterCount = z
  .number()
  .int({ error: 'must be a whole number of clusters' })
  .min(2, { error: 'must be at least 2: connectivity needs two ends' })
  .max(MAXIMUM_CLUSTERS, { error: `must be at most ${MAXIMUM_CLUSTERS}` });

/** `3`, or `east,west`. */
const clusterText = z
  .string()
  .transform((value): number | string[] =>
    /^\d+$/.test(value.trim()) ? Number(value) : value.split(',').map((name) => name.trim()),
  );

const clusters = z.union(
  [
    clusterCount,
    clusterText.pipe(z.union([clusterCount, z.array(clusterName)])),
    z
      .array(
        z.union([clusterName.transform((name): ClusterEntry => ({ name })), clusterEntry], {
          error: 'must be a name, or an object with `name`',
        }),
      )
      .min(2, { error: 'must name at least 2 clusters: connectivity needs two ends' })
      .max(MAXIMUM_CLUSTERS, { error: `must name at most ${MAXIMUM_CLUSTERS} clusters` }),
  ],
  { error: 'must be a number, names, or a list of names or of objects with `name`' },
);

const duration = z.string().transform((value, context) => {
  const milliseconds = parseDuration(value);
  if (milliseconds !== undefined && milliseconds > 0) return milliseconds;
  context.addIssue({ code: 'custom', message: `"${value}" is no duration such as 90s, 5m or 1m30s` });
  return z.NEVER;
});

const pairs = z.string().transform((value, context) => {
  if (value === 'all') return { kind: 'all' as const, explicit: true as const };
  const count = Number(/^sample:(\d{1,6})$/.exec(value)?.[1] ?? 0);
  if (count > 0) return { kind: 'sample' as const, count };
  context.addIssue({
    code: 'custom',
    message: `"${value}" is neither all nor sample:<number>, such as sample:10`,
  });
  return z.NEVER;
});

const report = text.transform((value) => {
  const equals = value.indexOf('=');
  return equals === -1
    ? { format: value }
    : { format: value.slice(0, equals), path: value.slice(equals + 1) };
});

const runId = z.string().regex(RUN_ID, {
  error: ({ input }) => `"${input}" is no run id: a letter and five letters or digits`,
});

const prefix = (longest: number) =>
  z
    .number()
    .int()
    .min(1, { error: 'must be a prefix length from 1' })
    .max(longest, { error: `must be a prefix length up to ${longest}: a site needs room for three ranges` });

const MAXIMUM_NODES = 9;
const nodeCount = z
  .number()
  .int({ error: 'must be a whole number of nodes' })
  .min(1, { error: 'must be at least 1' })
  .max(MAXIMUM_NODES, { error: `must be at most ${MAXIMUM_NODES}` });

/** `role=edge,zone=a`, or keys and values. */
const labels = z.union(
  [
    listOf(z.string().regex(/^[^=\s]+=[^=\s]*$/, { error: 'must look like key=value' })).transform(
      (written) => Object.fromEntries(written.map((pair) => pair.split('=', 2) as [string, string])),
    ),
    z.record(z.string(), z.string()),
  ],
  { error: 'must be key=value, a list of such, or keys and values' },
);

/** As kubectl taint writes it: `key`, `key=value`, each with `:effect` or without. */
const toleration = z
  .string()
  .regex(/^[^=:\s]+(?:=[^=:\s]*)?(?::(?:NoSchedule|PreferNoSchedule|NoExecute))?$/, {
    error: ({ input }) =>
      `"${String(input)}" is no toleration: key, key=value or key=value:NoSchedule (PreferNoSchedule, NoExecute)`,
  })
  .transform((written) => {
    const [left = '', effect] = written.split(':', 2);
    const [key = '', value] = left.split('=', 2);
    return { key, ...(value !== undefined && { value }), ...(effect !== undefined && { effect }) };
  });

/** A label of DNS (RFC 1123), short enough to stand before the names of our namespaces. */
const namespacePrefix = z.string().regex(/^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$/, {
  error: ({ input }) =>
    `"${String(input)}" cannot be a namespace: lower-case letters, digits and hyphens, a letter first, 30 at most`,
});

export const configurationSchema = z.strictObject({
  clusters: clusters.optional(),
  topology: choice('topology').optional(),
  hub: text.optional(),
  underlay: choice('underlay').optional(),
  ipFamily: choice('ipFamily').optional(),
  profile: choice('profile').optional(),
  provider: choice('provider').optional(),
  context: listOf(text).optional(),
  kubeconfig: text.optional(),
  cni: choice('cni').optional(),
  nodes: z.union([nodeCount, z.string().regex(/^\d+$/).transform(Number).pipe(nodeCount)]).optional(),
  nodeImage: text.optional(),
  probeImage: text.optional(),
  namespace: namespacePrefix.optional(),
  nodeSelector: labels.optional(),
  toleration: listOf(toleration).optional(),
  imagePullSecret: listOf(text).optional(),
  allowFaults: z.boolean().optional(),
  istioTopology: choice('istioTopology').optional(),
  ciliumSharing: choice('ciliumSharing').optional(),
  ciliumRouting: choice('ciliumRouting').optional(),
  ciliumKubeProxy: choice('ciliumKubeProxy').optional(),
  ciliumEncryption: choice('ciliumEncryption').optional(),
  consulGateways: choice('consulGateways').optional(),
  tuning: choice('tuning').optional(),
  level: choice('level').optional(),
  suite: listOf(text).optional(),
  check: listOf(text).optional(),
  skip: listOf(text).optional(),
  pairs: pairs.optional(),
  seed: z
    .union([text, z.number().int().transform(String)], { error: 'must be a text or a whole number' })
    .optional(),
  out: text.optional(),
  report: listOf(report).optional(),
  verbose: z.boolean().optional(),
  quiet: z.boolean().optional(),
  yes: z.boolean().optional(),
  keep: z.boolean().optional(),
  attach: runId.optional(),
  bail: z.boolean().optional(),
  deadline: duration.optional(),
  addressing: z
    .strictObject({ pool: cidr.optional(), prefix: prefix(26).optional(), ipv6Pool: cidr.optional() })
    .optional(),
  budgets: z
    .record(
      z.string(),
      z.record(
        z.string(),
        z.union(
          [
            z.number().min(0, { error: 'must not be negative' }),
            duration.transform((milliseconds) => ({ milliseconds })),
          ],
          { error: 'must be a number, or a duration such as 20s' },
        ),
      ),
    )
    .optional(),
  images: z.record(z.string(), text).optional(),
  versions: z.record(z.string(), text).optional(),
  tools: z.record(z.string(), text).optional(),
  charts: z.record(z.string(), text).optional(),
  extensions: listOf(text).optional(),
});

export type Configuration = z.output<typeof configurationSchema>;
export type ConfigurationKey = keyof Configuration;

export const CONFIGURATION_KEYS = Object.keys(configurationSchema.shape) as ConfigurationKey[];
