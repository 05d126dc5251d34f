import java.io.PrintWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;
import java.util.logging.Logger;
import javax.sql.DataSource;
import org.json.JSONObject;

/** A connection a call, from a JDBC URL; user and password go beside the URL, so that no character needs escaping. */
final class UrlDataSource implements DataSource {
  private final String url;
  private final Properties account = new Properties();

  UrlDataSource(String scheme, JSONObject config, String parameters) {
    String place = config.getString("host") + ":" + config.getInt("port");
    url = scheme + "://" + place + "/" + config.getString("database") + "?" + parameters;
    account.setProperty("user", config.getString("user"));
    account.setProperty("password", config.getString("password"));
  }

  @Override
  public Connection getConnection() throws SQLException {
    return DriverManager.getConnection(url, account);
  }

  @Override
  public Connection getConnection(String user, String password) throws SQLException {
    return DriverManager.getConnection(url, user, password);
  }

  @Override
  public PrintWriter getLogWriter() {
    return null;
  }

  @Override
  public void setLogWriter(PrintWriter writer) {
    throw new UnsupportedOperationException();
  }

  @Override
  public void setLoginTimeout(int seconds) {
    throw new UnsupportedOperationException();
  }

  @Override
  public int getLoginTimeout() {
    return 0;
  }

  @Override
  public Logger getParentLogger() {
    return Logger.getGlobal();
  }

  @Override
  public <T> T unwrap(Class<T> type) throws SQLException {
    throw new SQLException("this data source wraps nothing");
  }

  @Override
  public boolean isWrapperFor(Class<?> type) {
    return false;
  }
}
