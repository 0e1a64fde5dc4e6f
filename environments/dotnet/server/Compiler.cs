// C# source to an assembly, by a compiler that stays warm: references are read and bound once for all compilations.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Emit;
using Microsoft.CodeAnalysis.Text;

namespace Fission.Server
{
    static class Compiler
    {
        /// Errors that are shown.
        const int ShownErrors = 20;

        /// Functions of dotnet8 may leave out what a new project of .NET 8 has everywhere.
        const string Implicit =
            "using System; using System.Collections.Generic; using System.IO; using System.Linq; using System.Net.Http; "
            + "using System.Threading; using System.Threading.Tasks;\n#line 1 ";

        static readonly CSharpParseOptions Parsing = new CSharpParseOptions(LanguageVersion.Latest);

        // Always the same name: only then what is bound once is used again.
        static readonly CSharpCompilation Empty = CSharpCompilation.Create(
            "function",
            null,
            References(),
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, optimizationLevel: OptimizationLevel.Release, allowUnsafe: true));

        static IEnumerable<MetadataReference> References()
        {
            var own = AppContext.BaseDirectory;
            return Directory.EnumerateFiles(Path.Combine(own, "references"), "*.dll")
                .Concat(new[] { Path.Combine(own, "Fission.DotNetCore.Api.dll"), Path.Combine(own, "Fission.DotNet.Common.dll") })
                .Select(file => MetadataReference.CreateFromFile(file))
                .ToArray();
        }

        /// Compiles files, named as the user knows them by `root`, and loads the result into `package`.
        internal static Assembly Compile(IReadOnlyList<string> files, string root, Package package, CancellationToken stop = default)
        {
            using (var code = new MemoryStream())
            using (var symbols = new MemoryStream())
            {
                var options = new EmitOptions(debugInformationFormat: DebugInformationFormat.PortablePdb);
                Check(Compilation(files, root, package).Emit(code, symbols, options: options, cancellationToken: stop));
                code.Position = symbols.Position = 0;
                return package.LoadFromStream(code, symbols);
            }
        }

        /// Compiles files to the assembly `target`, which has its symbols inside. Nothing is left where that fails.
        internal static void Write(IReadOnlyList<string> files, string root, Package package, string target)
        {
            using (var code = new MemoryStream())
            {
                var options = new EmitOptions(debugInformationFormat: DebugInformationFormat.Embedded);
                Check(Compilation(files, root, package).WithAssemblyName(Path.GetFileNameWithoutExtension(target)).Emit(code, options: options));
                File.WriteAllBytes(target, code.ToArray());
            }
        }

        static CSharpCompilation Compilation(IReadOnlyList<string> files, string root, Package package)
        {
            var trees = files.Select(file => Parse(file, root == null ? Path.GetFileName(file) : Path.GetRelativePath(root, file)));
            var compilation = Empty.AddSyntaxTrees(trees);
            var own = package.Files.Select(file => MetadataReference.CreateFromFile(file)).ToArray();
            return own.Length > 0 ? compilation.AddReferences(own) : compilation;
        }

        static void Check(EmitResult result)
        {
            if (!result.Success) throw new LoadException(Errors(result.Diagnostics));
        }

        static SyntaxTree Parse(string file, string name)
        {
            var text = File.ReadAllText(file);
            if (text.Contains("Fission.DotNet.Common")) text = $"{Implicit}\"{name}\"\n{text}";
            return CSharpSyntaxTree.ParseText(SourceText.From(text, Encoding.UTF8), Parsing, name);
        }

        static string Errors(IEnumerable<Diagnostic> diagnostics)
        {
            var errors = diagnostics.Where(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error).ToArray();
            var shown = errors.Take(ShownErrors).Select(Line);
            return string.Join("\n", errors.Length > ShownErrors ? shown.Append($"and {errors.Length - ShownErrors} more errors") : shown);
        }

        static string Line(Diagnostic diagnostic)
        {
            var place = diagnostic.Location.GetMappedLineSpan();
            var where = place.IsValid ? $"{place.Path}({place.StartLinePosition.Line + 1},{place.StartLinePosition.Character + 1}): " : "";
            return $"{where}error {diagnostic.Id}: {diagnostic.GetMessage(System.Globalization.CultureInfo.InvariantCulture)}";
        }
    }
}
