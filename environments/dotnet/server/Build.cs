// `server.dll build SOURCE TARGET`: a package's source to what is loaded without compiling.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Fission.Server
{
    static class Build
    {
        /// What a builder of dotnet20 downloads, one package of NuGet a line.
        const string PackageList = "nuget.txt";

        /// The exit code: 0 when `target` has the function.
        internal static int Run(string source, string target)
        {
            try
            {
                source = Path.GetFullPath(source);
                if (File.Exists(source)) SingleFile(source, target);
                else if (!Directory.Exists(source)) throw new LoadException($"there is no source at {source}");
                else if (Project.Choose(source) is string project) new Project(source, project).Publish(target);
                else Sources(source, target);
                return 0;
            }
            catch (LoadException error)
            {
                Console.Error.WriteLine(error.Message);
                return 1;
            }
        }

        static void SingleFile(string source, string target)
        {
            var name = Path.GetFileName(source);
            Console.WriteLine($"Compiling {name}");
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(target)));
            Compiler.Write(new[] { source }, Path.GetDirectoryName(source), new Package(null, null), target);
            Demand(new[] { target }, null, name);
        }

        /// Compiles what loading would: each function of the older interfaces alone, everything else together.
        static void Sources(string source, string target)
        {
            var all = Loading.Sources(source);
            if (all.Length == 0)
            {
                var instead = Directory.EnumerateFiles(source, "*.dll").Any() ? "; built assemblies need no build: give them with --deploy" : "";
                throw new LoadException($"there is neither a project (*.csproj) nor C# source in the package; it has {Loading.Names(source)}{instead}");
            }
            if (File.Exists(Path.Combine(source, PackageList)))
                Console.Error.WriteLine($"{PackageList} is not read here: name the packages in a project (*.csproj), as PackageReference");
            Others(source, target);
            var package = new Package(source, null);
            var alone = all.Any(Loading.IsCommon) ? Array.Empty<string>() : all.Where(file => Path.GetDirectoryName(file) == source && Loading.IsCore(file)).ToArray();
            var made = new List<string>();
            var errors = new List<string>();
            foreach (var (name, files) in alone.Length > 0
                ? alone.Select(file => (Path.GetFileNameWithoutExtension(file), new[] { file }))
                : new[] { (Loading.Default, all) })
            {
                Console.WriteLine($"Compiling {string.Join(", ", files.Select(file => Path.GetRelativePath(source, file)))}");
                var assembly = Path.Combine(target, name + ".dll");
                try
                {
                    Compiler.Write(files, source, package, assembly);
                    made.Add(assembly);
                }
                catch (LoadException error)
                {
                    errors.Add(error.Message);
                }
            }
            if (errors.Count > 0) throw new LoadException(string.Join("\n", errors));
            Demand(made, target, "the package");
        }

        /// Copies what is not source: settings, assemblies, data; not what tools keep in hidden folders.
        static void Others(string source, string target)
        {
            Directory.CreateDirectory(target);
            foreach (var file in Directory.EnumerateFiles(source, "*", SearchOption.AllDirectories))
            {
                var path = Path.GetRelativePath(source, file);
                if (Loading.IsMade(path) || path.EndsWith(".cs") || path.Split('/').SkipLast(1).Any(part => part.StartsWith("."))) continue;
                var copy = Path.Combine(target, path);
                Directory.CreateDirectory(Path.GetDirectoryName(copy));
                File.Copy(file, copy);
            }
        }

        /// Fails unless one of the assemblies has a function; a package of none would only fail at its first request.
        internal static void Demand(IEnumerable<string> assemblies, string folder, string where)
        {
            try
            {
                var all = assemblies.ToArray();
                var functions = all
                    .SelectMany(assembly => Loading.Classes(assembly, folder).Select(type => (assembly, type.FullName)))
                    .Select(each => all.Length == 1 ? each.FullName : $"{each.FullName} in {Path.GetFileName(each.assembly)}")
                    .OrderBy(name => name, StringComparer.Ordinal)
                    .ToArray();
                if (functions.Length == 0) throw new LoadException(Loading.NoFunction(where));
                Console.WriteLine($"Functions: {string.Join(", ", functions)}");
            }
            catch (Exception error) when (!(error is LoadException))
            {
                throw new LoadException(Loading.Explain(error));
            }
        }
    }
}
