/** What a kubelet says of the containers of its node (`/stats/summary`). Pure. */
import type { ContainerReading } from '../../model/usage.ts';

/** The part of the kubelet's `Summary` (k8s.io/kubelet/pkg/apis/stats/v1alpha1) that is read here. */
interface Summary {
  readonly pods?: readonly {
    readonly podRef?: { readonly name?: string; readonly namespace?: string };
    readonly containers?: readonly {
      readonly name?: string;
      readonly cpu?: { readonly time?: string; readonly usageCoreNanoSeconds?: number };
      readonly memory?: { readonly workingSetBytes?: number };
    }[];
  }[];
}

/** Containers that have only just started are there without figures. */
export function readingsOf(answer: unknown): ContainerReading[] {
  const { pods = [] } = (answer ?? {}) as Summary;
  return pods.flatMap(({ podRef = {}, containers = [] }) =>
    containers.map(({ name = '', cpu, memory }): ContainerReading => {
      const cpuAt = cpu?.time === undefined ? Number.NaN : Date.parse(cpu.time);
      return {
        namespace: podRef.namespace ?? '',
        pod: podRef.name ?? '',
        container: name,
        ...(memory?.workingSetBytes !== undefined && { memoryBytes: memory.workingSetBytes }),
        ...(cpu?.usageCoreNanoSeconds !== undefined &&
          Number.isFinite(cpuAt) && { cpuNanoseconds: cpu.usageCoreNanoSeconds, cpuAt }),
      };
    }),
  );
}
