// A package with projects: which of them is the function's, and its publishing by the SDK.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;

namespace Fission.Server
{
    sealed class Project
    {
        /// What says that a project is of tests, in a name of a package it uses.
        const string TestPackage = "Microsoft.NET.Test.Sdk";

        /// Projects that stand for the interfaces, which the environment has.
        static readonly string[] Interfaces = { "Fission.DotNet.Common.csproj", "Fission.DotNetCore.Api.csproj" };

        /// Where the SDK, not the package, is named as the place of an error.
        static readonly Regex PlaceInSdk = new Regex(@"^/\S*/sdk/[^/]+/\S*\(\d+,\d+\): ");

        /// The project a line of MSBuild is about, at its end.
        static readonly Regex Owner = new Regex(@" \[([^\[\]]+proj)[^\[\]]*\]$");

        /// How MSBuild writes an error without a number.
        static readonly Regex NoCode = new Regex(@"\s*: (error|warning) :\s+");

        static readonly Regex NoPackage = new Regex(@"NU1100|NU1101|NU1102|NU1103|NU1301|Unable to load the service index|Failed to retrieve information");

        readonly string source;
        readonly string path;
        readonly HashSet<string> printed = new HashSet<string>();
        bool packageMissing;

        internal Project(string source, string path)
        {
            this.source = source;
            this.path = path;
        }

        /// The project of the function: the one in the top folder, or the only one that no other uses; null without any.
        internal static string Choose(string source)
        {
            var all = Directory.EnumerateFiles(source, "*.csproj", SearchOption.AllDirectories)
                .Where(file => !Loading.IsMade(Path.GetRelativePath(source, file)))
                .OrderBy(file => file, StringComparer.Ordinal)
                .ToArray();
            if (all.Length < 2) return all.FirstOrDefault();
            var top = all.Where(file => Path.GetDirectoryName(file) == source).ToArray();
            if (top.Length == 1) return top[0];
            var candidates = all.Where(file => !IsTest(file)).ToArray();
            var used = new HashSet<string>(candidates.SelectMany(References).Select(reference => reference.Path));
            var chosen = candidates.Where(file => !used.Contains(file)).ToArray();
            if (chosen.Length == 1) return chosen[0];
            var names = (chosen.Length == 0 ? all : chosen).Select(file => Path.GetRelativePath(source, file));
            throw new LoadException($"any of {string.Join(", ", names)} could be the function's project: have only that one in the top folder of the package");
        }

        /// Has the SDK compile it and all it uses into `target`.
        internal void Publish(string target)
        {
            Check(path, new HashSet<string>());
            foreach (var file in Directory.EnumerateFiles(source, "project.assets.json", SearchOption.AllDirectories).ToArray())
            {
                // What was restored on another machine leads to folders of that machine.
                if (Path.GetFileName(Path.GetDirectoryName(file)) == "obj") Directory.Delete(Path.GetDirectoryName(file), true);
            }
            Console.WriteLine($"Publishing {Named(path)}");
            if (Sdk(target) != 0)
            {
                if (packageMissing)
                    throw new LoadException(
                        "a package could not be had: it takes a network that reaches NuGet or the sources that a nuget.config in the package names, also for a project whose .NET is older than the SDK");
                throw new LoadException($"{Named(path)} was not built");
            }
            var main = Loading.Assembly(target, "");
            var others = Directory.GetFiles(target, "*.dll").Where(file => file != main && !Package.IsShared(file));
            Build.Demand(main == null ? others : Loading.Classes(main, target).Length > 0 ? new[] { main } : others, target, Named(path));
        }

        int Sdk(string target)
        {
            var program = Process.GetCurrentProcess().MainModule.FileName;
            Greeted(Path.Combine(Path.GetDirectoryName(program), "sdk"));
            var start = new ProcessStartInfo(program)
            {
                WorkingDirectory = source,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            foreach (var word in new[] { "publish", path, "-c", "Release", "-o", Path.GetFullPath(target) }) start.ArgumentList.Add(word);
            if (Framework() is string framework) foreach (var word in new[] { "-f", framework }) start.ArgumentList.Add(word);
            foreach (var word in new[] { "-nologo", "-v:q", "-m:1", "-nodeReuse:false", "-clp:NoSummary;DisableConsoleColor" }) start.ArgumentList.Add(word);
            var additions = Path.Combine(AppContext.BaseDirectory, "project.targets");
            foreach (var (name, value) in new[]
            {
                ("CustomBeforeMicrosoftCommonTargets", additions),
                ("CustomBeforeMicrosoftCommonCrossTargetingTargets", additions),
                ("FissionHome", AppContext.BaseDirectory.TrimEnd('/')),
                ("FissionSource", source),
                ("FissionUnusable", Unusable),
                ("GenerateFullPaths", "true"),
                ("UseSharedCompilation", "false"),
                // The server is the program, and the framework is there.
                ("UseAppHost", "false"),
                ("SelfContained", "false"),
                ("PublishSingleFile", "false"),
                ("PublishTrimmed", "false"),
                ("PublishAot", "false"),
            }) start.ArgumentList.Add($"-p:{name}={Escaped(value)}");
            using (var sdk = new Process { StartInfo = start })
            {
                sdk.OutputDataReceived += (sender, line) => Print(line.Data);
                sdk.ErrorDataReceived += (sender, line) => Print(line.Data);
                sdk.Start();
                sdk.BeginOutputReadLine();
                sdk.BeginErrorReadLine();
                sdk.WaitForExit();
                return sdk.ExitCode;
            }
        }

        /// What MSBuild would read otherwise is written with its number.
        static string Escaped(string value) => Regex.Replace(value, "[%$@;,*?'()]", match => $"%{(int)match.Value[0]:X2}");

        /// Marks that the SDK has welcomed the user, which it does at length when its home is new.
        static void Greeted(string versions)
        {
            var home = Path.Combine(Environment.GetEnvironmentVariable("DOTNET_CLI_HOME") ?? Path.GetTempPath(), ".dotnet");
            Directory.CreateDirectory(home);
            foreach (var version in Directory.EnumerateDirectories(versions).Select(Path.GetFileName))
                File.WriteAllText(Path.Combine(home, version + ".dotnetFirstUseSentinel"), "");
        }

        /// Frameworks of a list that a function cannot use, or that this SDK does not know, as an expression.
        static string Unusable
        {
            get
            {
                var known = string.Concat(Enumerable.Range(5, Math.Max(0, Environment.Version.Major - 4)).Select(major => $"|{major}\\."));
                return $"(?<=^|;)\\s*net(?!standard2|coreapp3{known})[^;]*";
            }
        }

        /// Of several frameworks the newest that can be used; null when the project has one.
        string Framework()
        {
            var several = Read(path)?.Descendants().FirstOrDefault(element => element.Name.LocalName == "TargetFrameworks")?.Value;
            if (several == null) return null;
            return Regex.Replace(several, Unusable, "").Split(';')
                .Select(name => Regex.Match(name, @"^\s*(net(coreapp|standard)?(\d+\.\d+))\s*$"))
                .Where(name => name.Success)
                .OrderBy(name => name.Groups[2].Value != "standard")
                .ThenBy(name => Version.Parse(name.Groups[3].Value))
                .LastOrDefault()?.Groups[1].Value;
        }

        /// A line of the SDK as the user knows the files, each once: several steps find the same mistake.
        void Print(string line)
        {
            if (string.IsNullOrWhiteSpace(line)) return;
            var owner = Owner.Match(line);
            if (owner.Success) line = line.Substring(0, owner.Index);
            if (PlaceInSdk.Match(line) is Match place && place.Success)
                line = $"{(owner.Success ? Named(owner.Groups[1].Value) : Named(path))}: {line.Substring(place.Length)}";
            line = NoCode.Replace(line.Replace(source + "/", ""), ": $1: ").TrimEnd();
            lock (printed)
            {
                packageMissing |= NoPackage.IsMatch(line);
                if (printed.Add(line)) Console.WriteLine(line);
            }
        }

        string Named(string file) => Path.GetRelativePath(source, file);

        /// Projects that are not there: MSBuild only warns, and what is missing then is told by the compiler.
        void Check(string project, HashSet<string> seen)
        {
            if (!seen.Add(project)) return;
            foreach (var reference in References(project))
            {
                if (reference.Unsure) continue;
                if (File.Exists(reference.Path)) Check(reference.Path, seen);
                else
                    throw new LoadException(
                        $"{Named(project)}({reference.Line}): error: it uses the project {reference.Name}, which is not in the package; the source must be the folder that has both");
            }
        }

        static IEnumerable<(string Path, string Name, int Line, bool Unsure)> References(string project)
        {
            var elements = Read(project)?.Descendants().Where(element => element.Name.LocalName == "ProjectReference") ?? Enumerable.Empty<XElement>();
            foreach (var element in elements)
            {
                var unsure = element.AncestorsAndSelf().Any(each => each.Attribute("Condition") != null);
                foreach (var word in (element.Attribute("Include")?.Value ?? "").Split(';'))
                {
                    var name = word.Trim().Replace('\\', '/');
                    if (name == "" || Interfaces.Contains(Path.GetFileName(name))) continue;
                    var full = Path.GetFullPath(name, Path.GetDirectoryName(project));
                    yield return (full, name, ((IXmlLineInfo)element).LineNumber, unsure || name.IndexOfAny(new[] { '$', '*', '@' }) >= 0);
                }
            }
        }

        static bool IsTest(string project) =>
            Read(project)?.Descendants().Any(element =>
                element.Attribute("Include")?.Value == TestPackage || (element.Name.LocalName == "IsTestProject" && element.Value == "true")) == true;

        /// Null when it cannot be read: MSBuild says why, with the place.
        static XDocument Read(string project)
        {
            try
            {
                return XDocument.Load(project, LoadOptions.SetLineInfo);
            }
            catch (XmlException)
            {
                return null;
            }
        }
    }
}
