// Reads the settings of functions of Fission.DotNetCore.Api.
using System;
using System.IO;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Fission.DotNetCore.Api
{
    static class Settings
    {
        static readonly JsonSerializerOptions Format = new JsonSerializerOptions
        {
            PropertyNameCaseInsensitive = true,
            ReadCommentHandling = JsonCommentHandling.Skip,
            AllowTrailingCommas = true,
            Converters = { new AnyScalarAsText() },
        };

        internal static T Read<T>(string file) => JsonSerializer.Deserialize<T>(File.ReadAllText(file), Format);

        sealed class AnyScalarAsText : JsonConverter<string>
        {
            public override string Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options)
            {
                if (reader.TokenType == JsonTokenType.String || reader.TokenType == JsonTokenType.Null) return reader.GetString();
                using (var value = JsonDocument.ParseValue(ref reader)) return value.RootElement.GetRawText();
            }

            public override void Write(Utf8JsonWriter writer, string value, JsonSerializerOptions options) =>
                writer.WriteStringValue(value);
        }
    }
}
