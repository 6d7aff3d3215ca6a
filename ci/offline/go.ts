/** Steps that build programs from published Go modules, as `go install` does: checksums verified, no C, no paths. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type GoModule, goModOf, stagingReplacements } from './goModule.ts';
import type { Job } from './job.ts';
import type { Places } from './places.ts';
import type { Step } from './steps.ts';
import { MODULES, type ModuleName } from './versions.ts';

const ENVIRONMENT = { CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false' };

export interface GoProgram {
  /** File name of the result. */
  readonly name: string;
  readonly title: string;
  readonly module: ModuleName;
  /** Import path of the main package; `.` is the one in the module's own folder. */
  readonly package: string;
  readonly tags?: string;
  /** Variables that the linker sets. */
  readonly variables?: Readonly<Record<string, string>>;
}

/** The module around the programs of one published module, with what it takes to build them outside of it. */
interface Surroundings {
  readonly module: Omit<GoModule, 'name' | 'require'>;
  /** Files beside go.mod. */
  readonly files?: Readonly<Record<string, string>>;
}

const TEMPLATES = path.join(import.meta.dirname, 'templates');

export const SURROUNDINGS: Readonly<Record<ModuleName, Surroundings>> = {
  kind: { module: { go: '1.24.0' } },
  helm: { module: { go: '1.25.0' } },
  etcd: { module: { go: '1.24.0' } },
  coredns: { module: { go: '1.25.0' } },
  istio: { module: { go: '1.26.0' } },
  consul: {
    module: {
      go: '1.20',
      replace: {
        // No checksum of it can be had, and Consul imports it for nothing that it uses.
        'github.com/envoyproxy/go-control-plane/xdsmatcher': './xdsmatcher',
      },
    },
    files: {
      'xdsmatcher/go.mod': 'consul/xdsmatcher/go.mod.txt',
      'xdsmatcher/test/proto/proto.go': 'consul/xdsmatcher/test/proto/proto.go',
    },
  },
  // Its staging modules are replaced when its go.mod has been read.
  kubernetes: { module: { go: '1.24.0', godebug: 'go1.24' }, files: { 'main.go': 'kubernetes/main.go' } },
  cilium: {
    module: {
      go: '1.26.0',
      replace: {
        // The two that are not served at the versions that Cilium names.
        'github.com/osrg/gobgp/v4': 'github.com/osrg/gobgp/v4 v4.8.0',
        'sigs.k8s.io/mcs-api/controllers': './mcs-api-controllers',
        // As in Cilium's own go.mod: replacements do not carry over.
        'sigs.k8s.io/controller-tools': 'github.com/cilium/controller-tools v0.21.0-1',
      },
    },
    files: {
      'mcs-api-controllers/go.mod': 'cilium/mcs-api-controllers/go.mod.txt',
      'mcs-api-controllers/controllers.go': 'cilium/mcs-api-controllers/controllers.go',
    },
  },
};

/** Folder of the sources of a module in Go's own cache, downloaded and verified when missing. */
export async function moduleFolder(job: Job, module: ModuleName): Promise<string> {
  return (await downloaded(job, module)).Dir;
}

async function downloaded(job: Job, module: ModuleName): Promise<{ Dir: string; GoMod: string }> {
  const { path: name, version } = MODULES[module];
  const found = await job.read(['go', 'mod', 'download', '-json', `${name}@${version}`], {
    cwd: job.places.work,
    environment: ENVIRONMENT,
  });
  return JSON.parse(found) as { Dir: string; GoMod: string };
}

/** For each module a step that downloads all that its programs are made of, and for each program one that compiles it. */
export function goSteps(places: Places, programs: readonly GoProgram[]): Step[] {
  const modules = [...new Set(programs.map(({ module }) => module))];
  return [
    ...modules.map((module) =>
      downloadStep(
        places,
        module,
        programs.filter((program) => program.module === module),
      ),
    ),
    ...programs.map((program) => compileStep(places, program)),
  ];
}

function downloadStep(places: Places, name: ModuleName, programs: readonly GoProgram[]): Step {
  const { path: required, version } = MODULES[name];
  const { module, files = {} } = SURROUNDINGS[name];
  const folder = path.join(places.work, 'go', name);
  return {
    id: `modules-${name}`,
    title: `modules of ${required} ${version}`,
    lane: 'network',
    needs: [],
    inputs: {
      module: JSON.stringify(module),
      version,
      packages: JSON.stringify(programs.map((program) => [program.package, program.tags ?? ''])),
      ...Object.fromEntries(
        Object.entries(files).map(([target, source]) => [target, { path: path.join(TEMPLATES, source) }]),
      ),
    },
    files: [path.join(folder, 'go.sum')],
    async run(job) {
      for (const [target, source] of Object.entries(files)) {
        const file = path.join(folder, target);
        await mkdir(path.dirname(file), { recursive: true });
        await writeFile(file, await readFile(path.join(TEMPLATES, source)));
      }
      await mkdir(folder, { recursive: true });
      const replace =
        name === 'kubernetes'
          ? stagingReplacements(
              await readFile((await downloaded(job, name)).GoMod, 'utf8'),
              version.replace(/^v1\./, 'v0.'),
            )
          : module.replace;
      const goMod = goModOf({
        name,
        ...module,
        require: { [required]: version },
        ...(replace && { replace }),
      });
      await writeFile(path.join(folder, 'go.mod'), goMod);
      // Listing what the programs import downloads and verifies all of it, and completes go.mod and go.sum.
      const tags = programs.flatMap((program) => program.tags ?? []).join(',');
      const list = [
        'go',
        'list',
        '-mod=mod',
        '-deps',
        '-f',
        '{{.ImportPath}}',
        ...(tags ? ['-tags', tags] : []),
      ];
      await job.run([...list, ...programs.map((program) => program.package)], {
        cwd: folder,
        environment: ENVIRONMENT,
      });
    },
  };
}

export const programFile = (places: Places, name: string): string => path.join(places.work, 'programs', name);

function compileStep(places: Places, program: GoProgram): Step {
  const { variables = {}, tags } = program;
  const output = programFile(places, program.name);
  const linker = [
    '-s',
    '-w',
    ...Object.entries(variables).map(([name, value]) => `-X ${name}=${value}`),
  ].join(' ');
  const command = [
    'go',
    'build',
    '-mod=mod',
    '-trimpath',
    '-ldflags',
    linker,
    ...(tags ? ['-tags', tags] : []),
  ];
  return {
    id: `program-${program.name}`,
    title: program.title,
    lane: 'compile',
    needs: [`modules-${program.module}`],
    inputs: { command: JSON.stringify([...command, program.package]) },
    files: [output],
    run: (job) =>
      job.run([...command, '-o', output, program.package], {
        cwd: path.join(places.work, 'go', program.module),
        environment: ENVIRONMENT,
      }),
  };
}
