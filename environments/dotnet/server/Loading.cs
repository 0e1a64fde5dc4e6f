// From a path and an entry point to a function: which file, built or to be compiled, and which class of it.
using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Reflection;

namespace Fission.Server
{
    /// The code has no such function. The text is for the user.
    sealed class LoadException : Exception
    {
        internal LoadException(string message) : base(message)
        {
        }
    }

    static class Loading
    {
        /// The class of a function whose entry point names none, by generation.
        const string Class = "MyFunction";
        const string ClassEnding = "FissionFunction";

        /// The file of a package whose entry point names none, without its ending.
        internal const string Default = "func";

        /// Names that are shown to someone who asked for one that is not there.
        const int ShownNames = 20;

        /// The function at `path`: a source file, a built assembly, a zip file of either, or a folder.
        internal static Function Load(string path, string entry)
        {
            entry = entry ?? "";
            if (Directory.Exists(path)) return FromFolder(path, entry);
            if (!File.Exists(path)) throw new LoadException($"there is no code at {path}");
            switch (Kind(path))
            {
                case "PK":
                    var unpacked = Path.Combine(Path.GetTempPath(), "package-" + Guid.NewGuid().ToString("n"));
                    ZipFile.ExtractToDirectory(path, unpacked);
                    return FromFolder(unpacked, entry);
                case "MZ":
                    return Built(path, null, entry);
                default:
                    var package = new Package(null, null);
                    var assembly = Compiler.Compile(new[] { path }, null, package);
                    return Find(assembly, entry, Path.GetDirectoryName(path), Path.GetFileName(path));
            }
        }

        /// The two letters a zip file and an assembly begin with.
        static string Kind(string path)
        {
            using (var file = File.OpenRead(path)) return $"{(char)file.ReadByte()}{(char)file.ReadByte()}";
        }

        static Function FromFolder(string folder, string entry)
        {
            var named = Named(folder, entry, ".cs");
            if (named != null && IsCore(named)) return Compiled(new[] { named }, folder, "");
            var assembly = Assembly(folder, entry);
            if (assembly != null) return Built(assembly, folder, entry);
            var sources = Sources(folder);
            if (sources.Length == 0 && !Directory.EnumerateFiles(folder, "*.dll").Any())
                throw new LoadException($"there is neither C# source nor an assembly in the package; it has {Names(folder)}");
            if (sources.All(IsCore))
                throw new LoadException($"there is no {(entry == "" ? Default : entry)}{(sources.Length == 0 ? ".dll" : ".cs")} in the package; it has {Names(folder)}");
            return Compiled(sources, folder, named == null ? entry : "");
        }

        /// Whether a source file is written against the interfaces of that generation.
        internal static bool IsCore(string file) => File.ReadAllText(file).Contains("Fission.DotNetCore.Api");

        internal static bool IsCommon(string file) => File.ReadAllText(file).Contains("Fission.DotNet.Common");

        /// All source files of a folder, but what a compiler has left there.
        internal static string[] Sources(string folder) =>
            Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories)
                .Where(file => !IsMade(Path.GetRelativePath(folder, file)))
                .OrderBy(file => file, StringComparer.Ordinal)
                .ToArray();

        internal static bool IsMade(string path) => path.Split('/').Any(part => part == "obj" || part == "bin");

        /// The file an entry point names, or that a function without one has, in any case.
        static string Named(string folder, string entry, string ending)
        {
            var name = entry == "" ? Default : entry;
            if (!name.EndsWith(ending, StringComparison.OrdinalIgnoreCase)) name += ending;
            return Directory.EnumerateFiles(folder).FirstOrDefault(file => string.Equals(Path.GetFileName(file), name, StringComparison.OrdinalIgnoreCase));
        }

        /// The assembly an entry point `Assembly:Namespace:Class` names, the project's own, the one a build named like the
        /// source file, or the only one.
        internal static string Assembly(string folder, string entry)
        {
            var parts = entry.Split(':');
            if (parts.Length == 3)
            {
                var named = Path.Combine(folder, parts[0] + ".dll");
                if (File.Exists(named) && Path.GetFileName(named) == parts[0] + ".dll") return named;
                throw new LoadException($"there is no {parts[0]}.dll in the package; it has {Names(folder)}");
            }
            var project = Directory.EnumerateFiles(folder, "*.deps.json")
                .Select(file => file.Substring(0, file.Length - ".deps.json".Length) + ".dll")
                .FirstOrDefault(File.Exists);
            if (project != null) return project;
            if (Directory.EnumerateFiles(folder, "*.cs").Any()) return null;
            var built = Directory.EnumerateFiles(folder, "*.dll").Where(file => !Path.GetFileName(file).StartsWith("Fission.DotNet")).ToArray();
            return Named(folder, entry, ".dll") ?? Named(folder, "", ".dll") ?? (built.Length == 1 ? built[0] : null);
        }

        static Function Compiled(IReadOnlyList<string> files, string folder, string entry)
        {
            var package = new Package(folder, null);
            return Find(Compiler.Compile(files, folder, package), entry, folder, "the package");
        }

        static Function Built(string path, string folder, string entry)
        {
            var assembly = new Package(folder, path).LoadFromAssemblyPath(Path.GetFullPath(path));
            var parts = entry.Split(':');
            var name = parts.Length == 3 ? (parts[1] == "" ? parts[2] : $"{parts[1]}.{parts[2]}") : entry;
            return Find(assembly, name, folder ?? Path.GetDirectoryName(path), Path.GetFileName(path));
        }

        /// The class `entry` names, with or without its namespace, or the one a function is expected to have.
        internal static Function Find(Assembly assembly, string entry, string package, string where)
        {
            var types = Classes(assembly);
            var chosen = entry == "" ? null : types.FirstOrDefault(type => type.FullName == entry) ?? types.FirstOrDefault(type => type.Name == entry);
            // An entry point may also name the file.
            if (entry == "" || (chosen == null && string.Equals(where, entry + ".dll", StringComparison.OrdinalIgnoreCase)))
            {
                chosen = types.FirstOrDefault(type => type.Name == Class)
                    ?? types.FirstOrDefault(type => type.Name.EndsWith(ClassEnding, StringComparison.Ordinal))
                    ?? (types.Length == 1 ? types[0] : null);
            }
            if (chosen != null) return new Function(chosen, Function.Entry(chosen), package);
            if (types.Length == 0) throw new LoadException(NoFunction(where));
            var wanted = entry == "" ? $"{Class} or a class that ends in {ClassEnding}" : entry;
            throw new LoadException($"there is no class {wanted} in {where}; it has {string.Join(", ", types.Take(ShownNames).Select(type => type.FullName))}");
        }

        static Type[] Classes(Assembly assembly) => assembly.GetTypes().Where(type => Function.Entry(type) != null).ToArray();

        /// The classes of a built assembly that could be a function.
        internal static Type[] Classes(string assembly, string folder) =>
            Classes(new Package(folder, assembly).LoadFromAssemblyPath(Path.GetFullPath(assembly)));

        internal static string NoFunction(string where) =>
            $"there is no function in {where}: no class of it has a public method Execute that takes a FissionContext";

        internal static string Names(string folder)
        {
            var names = Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName).OrderBy(name => name, StringComparer.Ordinal).Take(ShownNames);
            return string.Join(", ", names.DefaultIfEmpty("no files"));
        }

        /// The error as the user should read it.
        internal static string Explain(Exception error)
        {
            switch (error)
            {
                case LoadException _:
                    return error.Message;
                case ReflectionTypeLoadException types:
                    return string.Join("\n", types.LoaderExceptions.Select(each => each.Message).Distinct().Take(ShownNames));
                case BadImageFormatException _:
                    return $"the assembly cannot be loaded by .NET {Environment.Version}: {error.Message}";
                case FileNotFoundException missing when missing.FileName != null && missing.FileName.StartsWith("System."):
                    return $"the assembly was built for a newer .NET than this machine's {Environment.Version}: {error.Message}";
                default:
                    return error.ToString();
            }
        }
    }
}
