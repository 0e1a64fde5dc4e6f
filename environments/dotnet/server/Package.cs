// Where a function's own assemblies come from: its folder, after the framework and this server's interfaces.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.Loader;
using System.Text.Json;

namespace Fission.Server
{
    sealed class Package : AssemblyLoadContext
    {
        /// The file in which a builder of dotnet20 lists what it downloaded.
        const string Listing = "func.meta.json";

        /// Assemblies of the framework and of this server: of these there is one for all, so that their types are the same.
        static readonly HashSet<string> Shared = new HashSet<string>(
            ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") ?? "").Split(Path.PathSeparator).Select(Path.GetFileNameWithoutExtension),
            StringComparer.OrdinalIgnoreCase);

        internal static bool IsShared(string file) => Shared.Contains(Path.GetFileNameWithoutExtension(file));

        readonly Dictionary<string, string> files = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        readonly AssemblyDependencyResolver resolver;

        /// `folder` is null for a single file; `main` is the built assembly, if it is one.
        internal Package(string folder, string main)
        {
            if (folder == null) return;
            foreach (var file in Listed(folder).Concat(Directory.EnumerateFiles(folder, "*.dll"))) files[Path.GetFileNameWithoutExtension(file)] = file;
            if (main != null && File.Exists(Path.ChangeExtension(main, ".deps.json"))) resolver = new AssemblyDependencyResolver(main);
            // A newer version than the framework's is the function's own.
            Resolving += (context, name) => Own(name);
        }

        /// Its own assemblies, for the compiler.
        internal IEnumerable<string> Files => files.Values.Where(file => !IsShared(file));

        protected override Assembly Load(AssemblyName name) => Shared.Contains(name.Name) ? null : Own(name);

        Assembly Own(AssemblyName name)
        {
            var path = resolver?.ResolveAssemblyToPath(name);
            if (path == null && !files.TryGetValue(name.Name, out path)) return null;
            return File.Exists(path) ? LoadFromAssemblyPath(Path.GetFullPath(path)) : null;
        }

        protected override IntPtr LoadUnmanagedDll(string name)
        {
            var path = resolver?.ResolveUnmanagedDllToPath(name);
            return path == null ? IntPtr.Zero : LoadUnmanagedDllFromPath(path);
        }

        static IEnumerable<string> Listed(string folder)
        {
            var listing = Path.Combine(folder, Listing);
            if (!File.Exists(listing)) return Array.Empty<string>();
            try
            {
                using (var document = JsonDocument.Parse(File.ReadAllBytes(listing)))
                {
                    if (!document.RootElement.TryGetProperty("libraries", out var libraries)) return Array.Empty<string>();
                    return libraries.EnumerateArray()
                        .Select(library => library.GetProperty("path").GetString().Replace('\\', '/'))
                        .Select(path => Path.Combine(folder, path.TrimStart('/')))
                        .ToArray();
                }
            }
            catch (Exception error) when (error is JsonException || error is KeyNotFoundException || error is InvalidOperationException)
            {
                throw new LoadException($"{Listing} of the package cannot be read: {error.Message}");
            }
        }
    }
}
